// Runs one kernel, compiled for the host, over what comes on the standard input:
// twin KERNEL LENGTH THREADS. Input are its source runs one behind the other, each filled up
// to a multiple of 8 bytes; output is what it wrote, between two words of guard. The threads run one behind the other, the last one first.
#include "kernels.c"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char guard = 0xc3;

static unsigned char *input(size_t n) {
  size_t room = (n + 7) / 8 * 8;
  unsigned char *b = aligned_alloc(64, (room + 127) / 64 * 64);
  if (!b || fread(b, 1, room, stdin) != room) exit(2);
  return b;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  unsigned long long length = strtoull(argv[2], NULL, 10);
  const struct ingot_kernel *k = NULL;
  for (size_t i = 0; i < sizeof ingot_kernels / sizeof *ingot_kernels; i++)
    if (!strcmp(ingot_kernels[i].name, argv[1])) k = &ingot_kernels[i];
  if (!k) return 3;
  int sum = !strcmp(k->name, "ingot_sum64"), delta = !strcmp(k->name, "ingot_delta16");
  size_t out = sum ? 8 : 2 * length, in = delta ? 2 * length : length;
  unsigned char *dst = aligned_alloc(64, (out + 16 + 63) / 64 * 64);
  if (!dst) return 2;
  memset(dst, guard, out + 16);
  if (sum) memset(dst + 8, 0, 8);
  unsigned long long a[4] = {(unsigned long long)(dst + 8), (unsigned long long)input(in)};
  if (sum) a[2] = length;
  else a[2] = (unsigned long long)input(in), a[3] = length;
  void *arguments[4] = {&a[0], &a[1], &a[2], &a[3]};
  if (k->arguments != (sum ? 3 : 4)) return 4;
  host_threads = strtoull(argv[3], NULL, 10);
  for (host_thread = host_threads; host_thread-- > 0;) k->run(arguments);
  for (int i = 0; i < 8; i++)
    if (dst[i] != guard || dst[8 + out + i] != guard) return 5;
  fwrite(dst + 8, 1, out, stdout);
  return 0;
}
