// host.c: memory of the host, registered and not.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client.h"

void run_register(void) {
  open_device(0);
  int fd;
  struct stat st;
  char *p = file_memory(4 * SLAB, &fd);
  Ptr device = mapped(0, SLAB, 3);
  GIVES(1, cuMemHostRegister_v2(NULL, SLAB, 0));
  GIVES(1, cuMemHostRegister_v2(p, 0, 0));
  GIVES(1, cuMemHostRegister_v2(p + 8, SLAB, 0));
  GIVES(1, cuMemHostRegister_v2(p, 100, 0));
  GIVES(1, cuMemHostRegister_v2(p, SLAB, 16));
  GIVES(1, cuMemHostRegister_v2((void *)device, SLAB, 0));
  OK(cuMemHostRegister_v2(p, 2 * SLAB, 1));
  fstat(fd, &st);
  TRUE(st.st_blocks * 512 == (off_t)(2 * SLAB)); // pinning fills holes
  GIVES(712, cuMemHostRegister_v2(p, 2 * SLAB, 1));
  GIVES(712, cuMemHostRegister_v2(p + SLAB, 2 * SLAB, 1));
  OK(cuMemHostRegister_v2(p + 2 * SLAB, SLAB, 1));
  GIVES(713, cuMemHostUnregister(p + SLAB));
  say("ready");
  hear();
  OK(cuMemHostUnregister(p));
  GIVES(713, cuMemHostUnregister(p));
  OK(cuMemHostUnregister(p + 2 * SLAB));
  munmap(p + SLAB, SLAB);
  GIVES(1, cuMemHostRegister_v2(p, 2 * SLAB, 1)); // a part is not there
  int file = open(arguments[0], O_RDWR);
  void *mapped = mmap(NULL, SLAB, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  GIVES(1, cuMemHostRegister_v2(mapped, SLAB, 1)); // pages of a file on disk
  void *own;
  OK(cuMemHostAlloc(&own, SLAB, 1));
  GIVES(713, cuMemHostUnregister(own));
  OK(cuMemFreeHost(own));
  GIVES(1, cuMemFreeHost(own));
}

void run_read_only_register(void) {
  open_device(0);
  int fd, may;
  file_memory(SLAB, &fd);
  void *p = mmap(NULL, SLAB, PROT_READ, MAP_SHARED, fd, 0);
  Ptr at = mapped(0, SLAB, 3);
  GIVES(1, cuMemHostRegister_v2(p, SLAB, 1));
  OK(cuDeviceGetAttribute(&may, 113, 0));
  if (!may) {
    GIVES(801, cuMemHostRegister_v2(p, SLAB, 1 | 8));
    say("not supported");
    return;
  }
  OK(cuMemHostRegister_v2(p, SLAB, 1 | 8));
  OK(cuMemcpyHtoD_v2(at, p, SLAB));
  TRUE(device_all(at, 0, SLAB));
  GIVES(1, cuMemcpyDtoH_v2(p, at, SLAB));
}

void run_straddle(void) {
  open_device(0);
  char *p = memory(4 * SLAB);
  Ptr at = mapped(0, 2 * SLAB, 3);
  OK(cuMemHostRegister_v2(p, SLAB, 1));
  OK(cuMemHostRegister_v2(p + SLAB, SLAB, 1));
  OK(cuMemcpyHtoD_v2(at, p, SLAB));
  OK(cuMemcpyHtoD_v2(at, p + SLAB, SLAB));
  OK(cuMemcpyHtoD_v2(at, p + 2 * SLAB, 2 * SLAB));            // outside of all
  GIVES(1, cuMemcpyHtoD_v2(at, p + SLAB / 2, SLAB));          // two registrations
  GIVES(1, cuMemcpyHtoD_v2(at, p + SLAB + SLAB / 2, SLAB));   // half registered
  GIVES(1, cuMemcpyDtoH_v2(p + SLAB / 2, at, SLAB));
  GIVES(1, cuMemcpyHtoD_v2(at, p, 4 * SLAB));                 // over a registration
  GIVES(1, cuMemcpyHtoD_v2(at + SLAB, p + 2 * SLAB, 2 * SLAB)); // over the end of the device's
  GIVES(1, cuMemcpyHtoD_v2(at, NULL, SLAB));
  GIVES(1, cuMemcpyHtoD_v2(at, (void *)at, 100));
  TRUE(device_all(at, 0, 2 * SLAB));
}

// What is not registered is read at once, what is registered later. This runs with
// streams that begin when they are waited for.
void run_staging(void) {
  open_device(0);
  char *pinned = memory(SLAB), *pageable = memory(SLAB);
  Ptr a = mapped(0, SLAB, 3), b = mapped(0, SLAB, 3);
  OK(cuMemHostRegister_v2(pinned, SLAB, 1));
  memset(pinned, 1, SLAB);
  memset(pageable, 1, SLAB);
  OK(cuMemcpyHtoDAsync_v2(a, pinned, SLAB, NULL));
  OK(cuMemcpyHtoDAsync_v2(b, pageable, SLAB, NULL));
  TRUE(all((void *)a, 0xa5, SLAB) && all((void *)b, 0xa5, SLAB)); // nobody has waited
  memset(pinned, 2, SLAB);
  memset(pageable, 2, SLAB);
  OK(cuStreamSynchronize(NULL));
  TRUE(all((void *)a, 2, SLAB));
  TRUE(all((void *)b, 1, SLAB));
  memset(pinned, 0, SLAB);
  OK(cuMemcpyDtoHAsync_v2(pinned, a, SLAB, NULL));
  TRUE(all(pinned, 0, SLAB));
  OK(cuMemcpyDtoHAsync_v2(pageable, b, SLAB, NULL)); // waits
  TRUE(all(pageable, 1, SLAB));
  TRUE(all(pinned, 2, SLAB));
}

static void punch(bool refill) {
  open_device(0);
  int fd;
  char *p = file_memory(2 * SLAB, &fd);
  char *other = mmap(NULL, 2 * SLAB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  Ptr at = mapped(0, SLAB, 3);
  memset(other, 1, 2 * SLAB);
  OK(cuMemHostRegister_v2(p, 2 * SLAB, 1));
  OK(cuMemcpyHtoD_v2(at, p, SLAB));
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SLAB, 4096)) abort();
  if (refill) memset(other + SLAB, 2, 4096);
  OK(cuMemcpyHtoD_v2(at, p, SLAB)); // not of this page
  say("alive");
  cuMemcpyHtoD_v2(at, p + SLAB, SLAB);
  say("it was not seen");
}

void run_punched(void) { punch(false); }
void run_refilled(void) { punch(true); }

// Nothing is copied, and the page is taken all the same.
void run_punched_idle(void) {
  open_device(0);
  int fd;
  char *p = file_memory(SLAB, &fd);
  OK(cuMemHostRegister_v2(p, SLAB, 1));
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096)) abort();
  say("alive");
  cuMemHostUnregister(p);
  say("it was not seen");
}

void run_unmapped_host(void) {
  open_device(0);
  char *p = memory(SLAB);
  Ptr at = mapped(0, SLAB, 3);
  OK(cuMemHostRegister_v2(p, SLAB, 1));
  munmap(p, SLAB);
  say("alive");
  cuMemcpyHtoD_v2(at, p, SLAB);
  say("it was not seen");
}

// Memory must not go while a copy that was not waited for uses it.
void run_busy_unmap(void) {
  open_device(0);
  char b[64] = {0};
  Ptr at = mapped(0, SLAB, 3);
  OK(cuMemcpyHtoDAsync_v2(at, b, sizeof b, NULL));
  GIVES(700, cuMemUnmap(at, SLAB));
  GIVES(700, cuCtxSynchronize());
}

void run_busy_source(void) {
  open_device(0);
  Ptr to = mapped(0, SLAB, 3), from = mapped(0, SLAB, 3);
  OK(cuMemcpyDtoDAsync_v2(to, from, 64, NULL));
  GIVES(700, cuMemUnmap(from, SLAB));
}

void run_busy_unregister(void) {
  open_device(0);
  char *p = memory(SLAB);
  Ptr at = mapped(0, SLAB, 3);
  OK(cuMemHostRegister_v2(p, SLAB, 1));
  OK(cuMemcpyHtoDAsync_v2(at, p, SLAB, NULL));
  GIVES(700, cuMemHostUnregister(p));
}

// Access that is taken away before a copy has run is missed when it runs.
void run_stale_unmap(void) {
  open_device(0);
  char b[64] = {0};
  Ptr at = mapped(0, SLAB, 3);
  OK(cuMemcpyHtoDAsync_v2(at, b, sizeof b, NULL));
  grant(at, SLAB, 0, 1);
  GIVES(700, cuStreamSynchronize(NULL));
}

void run_pointers(void) {
  open_device(0);
  char *p = memory(SLAB), stack;
  Ptr at = mapped(0, SLAB, 3), start;
  size_t n;
  unsigned type;
  int device;
  OK(cuMemHostRegister_v2(p, SLAB, 1));
  OK(cuPointerGetAttribute(&type, 2, at + 100));
  TRUE(type == 2);
  OK(cuPointerGetAttribute(&type, 2, (Ptr)p));
  TRUE(type == 1);
  GIVES(1, cuPointerGetAttribute(&type, 2, (Ptr)&stack));
  GIVES(1, cuPointerGetAttribute(&type, 99, at));
  int which[] = {2, 9, 11, 12};
  void *out[] = {&type, &device, &start, &n};
  OK(cuPointerGetAttributes(4, which, out, at + 100));
  TRUE(type == 2 && device == 0 && start == at && n == SLAB);
  OK(cuPointerGetAttributes(4, which, out, (Ptr)&stack));
  TRUE(type == 0);
}
