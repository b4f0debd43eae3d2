// main.c: runs one scenario, by name.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "client.h"

#define SCENARIOS                                                                                                      \
  S(contexts) S(forks) S(devices) S(creation) S(maps) S(access) S(read_only_copy) S(lifetime) S(descriptors) S(register) \
  S(read_only_register) S(straddle) S(staging) S(punched) S(refilled) S(unmapped_host) S(busy_unmap) S(busy_unregister) \
  S(order) S(legacy) S(handles) S(events) S(batch) S(copies) S(modules) S(kernels) S(kernel_bounds) S(misaligned)       \
  S(pointers) S(plain) S(sticky) S(hold) S(count) S(role) S(hang) S(stress) S(agentlike) S(contextmem) S(stale_unmap)    \
  S(peers) S(importer) S(noctx_sticky) S(ended_context) S(callback) S(punched_idle) S(nothing) S(numbers) S(ranges) \
  S(importer_refused) S(busy_kernel) S(busy_source) S(grab) S(spoiled) S(old_driver)

#define S(name) void run_##name(void);
SCENARIOS
#undef S

static const struct {
  const char *name;
  void (*run)(void);
} scenarios[] = {
#define S(name) {#name, run_##name},
    SCENARIOS
#undef S
};

char **arguments;
static int failures;

void gives(const char *what, int line, int got, int want) {
  if (got == want) return;
  printf("line %d: %s gives %d, want %d\n", line, what, got, want);
  failures++;
}

void holds(const char *what, int line, bool is) {
  if (is) return;
  printf("line %d: not so: %s\n", line, what);
  failures++;
}

void *open_device(int device) {
  Object c = NULL;
  OK(cuInit(0));
  OK(cuDevicePrimaryCtxRetain(&c, device));
  OK(cuCtxSetCurrent(c));
  return c;
}

Handle create(int device, size_t size) {
  Handle h = 0;
  Properties p = {.type = 1, .handles = 1, .location = {1, device}};
  OK(cuMemCreate(&h, size, &p, 0));
  return h;
}

Ptr reserve(size_t size) {
  Ptr at = 0;
  OK(cuMemAddressReserve(&at, size, 0, 0, 0));
  return at;
}

void grant(Ptr at, size_t size, int device, int flags) {
  Access a = {{1, device}, flags};
  OK(cuMemSetAccess(at, size, &a, 1));
}

Ptr mapped(int device, size_t size, int flags) {
  Handle h = create(device, size);
  Ptr at = reserve(size);
  OK(cuMemMap(at, size, 0, h, 0));
  if (flags) grant(at, size, device, flags);
  OK(cuMemRelease(h));
  return at;
}

static sigjmp_buf back;
static void jump(int signal) { siglongjmp(back, signal); }

bool dies(volatile unsigned char *p, bool write) {
  struct sigaction act = {.sa_handler = jump}, segv, bus;
  sigaction(SIGSEGV, &act, &segv);
  sigaction(SIGBUS, &act, &bus);
  bool died = sigsetjmp(back, 1) != 0;
  if (!died) {
    unsigned char c = *p;
    if (write) *p = c;
  }
  sigaction(SIGSEGV, &segv, NULL);
  sigaction(SIGBUS, &bus, NULL);
  return died;
}

bool all(const void *p, int value, size_t n) {
  const unsigned char *b = p;
  for (size_t i = 0; i < n; i++)
    if (b[i] != (unsigned char)value) return false;
  return true;
}

void *file_memory(size_t size, int *fd) {
  *fd = memfd_create("segment", MFD_CLOEXEC);
  if (*fd < 0 || ftruncate(*fd, size)) abort();
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

void *memory(size_t size) {
  int fd;
  void *p = file_memory(size, &fd);
  close(fd);
  return p;
}

void fill(Ptr at, int value, size_t n) {
  OK(cuMemsetD8Async(at, value, n, NULL));
  OK(cuStreamSynchronize(NULL));
}

bool device_all(Ptr at, int value, size_t n) {
  unsigned char *b = malloc(n);
  OK(cuMemcpyDtoH_v2(b, at, n));
  bool is = all(b, value, n);
  free(b);
  return is;
}

void say(const char *what) {
  printf("%s\n", what);
  fflush(stdout);
}

void hear(void) {
  char c;
  while (read(0, &c, 1) == 1 && c != '\n') {
  }
}

int main(int argc, char **argv) {
  arguments = argv + 2;
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    if (argc < 2 || strcmp(argv[1], scenarios[i].name)) continue;
    scenarios[i].run();
    return failures ? 1 : 0;
  }
  printf("no such scenario\n");
  return 2;
}
