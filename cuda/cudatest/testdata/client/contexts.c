// contexts.c: devices, contexts and what a dead one means.
#include <pthread.h>
#include <sys/wait.h>

#include "client.h"

static void *other_thread(void *c) {
  size_t available, total;
  GIVES(201, cuMemGetInfo_v2(&available, &total));
  OK(cuCtxSetCurrent(c));
  OK(cuMemGetInfo_v2(&available, &total));
  return NULL;
}

void run_contexts(void) {
  int n, active;
  unsigned flags;
  Object c, d, current;
  pthread_t thread;
  GIVES(3, cuDeviceGetCount(&n));
  GIVES(1, cuInit(1));
  OK(cuInit(0));
  GIVES(201, cuCtxSynchronize());
  OK(cuDevicePrimaryCtxSetFlags_v2(0, 4));
  GIVES(1, cuDevicePrimaryCtxSetFlags_v2(0, 3));
  OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
  TRUE(flags == 4 && !active);
  GIVES(201, cuDevicePrimaryCtxRelease_v2(0));
  GIVES(101, cuDevicePrimaryCtxRetain(&c, 7));
  OK(cuDevicePrimaryCtxRetain(&c, 0));
  OK(cuDevicePrimaryCtxRetain(&d, 0));
  TRUE(c == d);
  GIVES(201, cuCtxSynchronize());
  GIVES(201, cuCtxSetCurrent((Object)0x1234));
  OK(cuCtxSetCurrent(c));
  OK(cuCtxSynchronize());
  pthread_create(&thread, NULL, other_thread, c);
  pthread_join(thread, NULL);
  OK(cuCtxSetCurrent(NULL));
  GIVES(201, cuCtxSynchronize());
  OK(cuCtxPushCurrent_v2(c));
  OK(cuCtxPopCurrent_v2(&current));
  TRUE(current == c);
  OK(cuCtxSetCurrent(c));
  OK(cuDevicePrimaryCtxRelease_v2(0));
  OK(cuCtxSynchronize());
  OK(cuDevicePrimaryCtxRelease_v2(0));
  GIVES(709, cuCtxSynchronize());
  GIVES(201, cuCtxSetCurrent(c));
}

// What lives in a context ends with it; what VMM gave does not.
void run_ended_context(void) {
  open_device(0);
  Object s, e, m;
  void *p = memory(SLAB);
  Ptr at = mapped(0, SLAB, 3), plain;
  size_t available, total;
  OK(cuMemAlloc_v2(&plain, 1));
  OK(cuModuleLoadData(&m, ".version 6.4\n.target sm_75\n.address_size 64\n"));
  OK(cuStreamCreate(&s, 0));
  OK(cuEventCreate(&e, 2));
  OK(cuMemHostRegister_v2(p, SLAB, 1));
  OK(cuDevicePrimaryCtxRelease_v2(0));
  open_device(0);
  GIVES(400, cuStreamSynchronize(s));
  GIVES(400, cuEventRecord(e, NULL));
  GIVES(713, cuMemHostUnregister(p));
  GIVES(400, cuModuleUnload(m));
  GIVES(1, cuMemFree_v2(plain));
  OK(cuMemGetInfo_v2(&available, &total));
  TRUE(total - available == SLAB);
  fill(at, 1, SLAB);
  TRUE(device_all(at, 1, SLAB));
  say("ready");
  hear();
}

void run_forks(void) {
  open_device(0);
  int n, status;
  pid_t child = fork();
  if (!child) _exit(cuInit(0) == 3 && cuDeviceGetCount(&n) == 3 ? 0 : 1);
  waitpid(child, &status, 0);
  TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  OK(cuDeviceGetCount(&n));
}

void run_devices(void) {
  int n, v, d;
  unsigned char a[16], b[16];
  const char *name;
  void *entry;
  OK(cuInit(0));
  OK(cuDeviceGetCount(&n));
  OK(cuDeviceGetUuid_v2(a, 0));
  if (n > 1) {
    OK(cuDeviceGetUuid_v2(b, 1));
    TRUE(memcmp(a, b, 16));
  }
  printf("%d %d\n", n, a[15]);
  OK(cuDriverGetVersion(&v));
  TRUE(v >= 12000);
  GIVES(101, cuDeviceGet(&d, n));
  OK(cuDeviceGetAttribute(&v, 102, 0));
  TRUE(v == 1);
  GIVES(1, cuDeviceGetAttribute(&v, 0, 0));
  GIVES(101, cuDeviceGetAttribute(&v, 102, n));
  OK(cuGetErrorName(700, &name));
  TRUE(!strcmp(name, "CUDA_ERROR_ILLEGAL_ADDRESS"));
  GIVES(1, cuGetErrorName(12345, &name));
  OK(cuGetProcAddress_v2("cuMemGetInfo", &entry, 12000, 0, NULL));
  TRUE(entry == (void *)cuMemGetInfo_v2);
  GIVES(500, cuGetProcAddress_v2("cuNothing", &entry, 12000, 0, NULL));
}

// An error that a context does not survive comes from every call after it.
void run_sticky(void) {
  open_device(0);
  Object s;
  size_t available, total;
  int n;
  OK(cuStreamCreate(&s, 1));
  GIVES(719, cuStreamSynchronize(s)); // the fault
  GIVES(719, cuStreamQuery(s));
  GIVES(719, cuMemGetInfo_v2(&available, &total));
  GIVES(719, cuDevicePrimaryCtxRelease_v2(0));
  OK(cuDriverGetVersion(&n));
  OK(cuInit(0));
}

// A process without a context cannot lose it.
void run_noctx_sticky(void) {
  Handle h;
  Properties p = {.type = 1, .handles = 1, .location = {1, 0}};
  OK(cuInit(0));
  GIVES(719, cuMemCreate(&h, SLAB, &p, 0)); // the fault
  OK(cuMemCreate(&h, SLAB, &p, 0));
  OK(cuMemRelease(h));
}

void run_contextmem(void) {
  size_t available, total;
  open_device(0);
  OK(cuMemGetInfo_v2(&available, &total));
  TRUE(total - available == 8 * MIB);
  OK(cuDevicePrimaryCtxRelease_v2(0));
  Object c;
  Handle h = create(0, total);
  GIVES(2, cuDevicePrimaryCtxRetain(&c, 0));
  OK(cuMemRelease(h));
  OK(cuDevicePrimaryCtxRetain(&c, 0));
}

// count calls cuDeviceGetCount as often as it is told, and prints the results.
void run_count(void) {
  int n;
  cuInit(0);
  for (int i = atoi(arguments[0]); i > 0; i--) printf("%d ", cuDeviceGetCount(&n));
}

void run_role(void) {
  int n;
  cuInit(0);
  printf("%d", cuDeviceGetCount(&n));
}

void run_hang(void) {
  int n;
  cuInit(0);
  say("ready");
  cuDeviceGetCount(&n);
  say("it came back");
}
