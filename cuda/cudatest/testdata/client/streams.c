// streams.c: order, events, batches, kernels. These run with streams that begin when
// they are waited for, unless the test says otherwise.
#include <pthread.h>

#include "client.h"

static Object stream(unsigned flags) {
  Object s = NULL;
  OK(cuStreamCreate(&s, flags));
  return s;
}

static Object event(unsigned flags) {
  Object e = NULL;
  OK(cuEventCreate(&e, flags));
  return e;
}

static void set(Ptr at, int value, Object s) { OK(cuMemsetD8Async(at, value, 1, s)); }

static int byte(Ptr at) { return *(unsigned char *)at; }

// wait lets a stream end without touching another: a query lets all begin.
static int settle(Object s) {
  int r;
  while ((r = cuStreamQuery(s)) == 600) usleep(100);
  return r;
}

static void forbidden(void *result) {
  int n;
  *(int *)result = cuDeviceGetCount(&n);
}

// A function that a stream calls may not call the driver.
void run_callback(void) {
  open_device(0);
  int result = -1;
  OK(cuLaunchHostFunc(NULL, forbidden, &result));
  OK(cuStreamSynchronize(NULL));
  TRUE(result == 800);
  GIVES(1, cuLaunchHostFunc(NULL, NULL, NULL));
}

static _Atomic bool gate; // while it is closed, note does not return

static void note(void *argument) {
  while (!gate) usleep(100);
  ++*(int *)argument;
}

// Streams do not wait for each other, but for events.
void run_order(void) {
  open_device(0);
  Ptr at = mapped(0, SLAB, 3);
  Object a = stream(1), b = stream(1), e = event(2);
  int done = 0;
  OK(cuLaunchHostFunc(a, note, &done));
  set(at, 1, a);
  OK(cuEventRecord(e, a));
  OK(cuStreamWaitEvent(b, e, 0));
  OK(cuMemcpyDtoDAsync_v2(at + 100, at, 1, b));
  GIVES(600, cuEventQuery(e));
  GIVES(600, cuStreamQuery(b));
  gate = true;
  OK(cuStreamSynchronize(b));
  TRUE(done == 1 && byte(at) == 1 && byte(at + 100) == 1);
  OK(cuEventQuery(e));
  gate = false;
  OK(cuLaunchHostFunc(a, note, &done));
  set(at, 2, b);
  OK(settle(b)); // does not wait for a
  GIVES(600, cuStreamQuery(a));
  gate = true;
  OK(cuCtxSynchronize());
  TRUE(done == 2 && byte(at) == 2);
}

// The legacy stream waits for blocking streams and they for it, and no others.
void run_legacy(void) {
  open_device(0);
  Ptr at = mapped(0, SLAB, 3);
  Object blocking = stream(0), own = stream(1);
  int done = 0;
  OK(cuLaunchHostFunc(blocking, note, &done));
  set(at, 1, blocking);
  set(at, 2, NULL);
  GIVES(600, cuStreamQuery(NULL));
  gate = true;
  OK(cuStreamSynchronize((Object)1)); // the same stream by its number
  TRUE(done == 1 && byte(at) == 2);
  gate = false;
  OK(cuLaunchHostFunc(NULL, note, &done));
  set(at, 3, blocking);
  GIVES(600, cuStreamQuery(blocking));
  gate = true;
  OK(cuStreamSynchronize(blocking));
  TRUE(done == 2 && byte(at) == 3);
  gate = false;
  OK(cuLaunchHostFunc(own, note, &done));
  set(at, 4, NULL);
  OK(settle(NULL));
  GIVES(600, cuStreamQuery(own));
  gate = true;
  OK(cuStreamSynchronize(own));
  TRUE(done == 3);
}

void run_handles(void) {
  open_device(0);
  Object s = stream(0), e = event(0);
  GIVES(1, cuStreamCreate(&s, 2));
  GIVES(400, cuStreamSynchronize((Object)0x5555));
  GIVES(400, cuStreamSynchronize(e)); // of another kind
  GIVES(400, cuEventRecord(s, NULL));
  GIVES(400, cuStreamDestroy_v2(NULL));
  Ptr at = mapped(0, SLAB, 3);
  set(at, 9, s);
  OK(cuStreamDestroy_v2(s)); // what it has is done
  OK(cuCtxSynchronize());
  while (byte(at) != 9) usleep(100);
  GIVES(400, cuStreamDestroy_v2(s));
  GIVES(400, cuStreamQuery(s));
  GIVES(400, cuMemsetD8Async(at, 1, 1, s));
  OK(cuEventDestroy_v2(e));
  GIVES(400, cuEventDestroy_v2(e));
  GIVES(400, cuEventQuery(e));
  GIVES(400, cuModuleUnload((Object)1));
  Object other;
  OK(cuDevicePrimaryCtxRetain(&other, 1));
  s = stream(0);
  OK(cuCtxSetCurrent(other));
  GIVES(400, cuStreamSynchronize(s)); // a stream of another context
}

void run_events(void) {
  open_device(0);
  Object s = stream(1), a = event(0), b = event(0), plain = event(2);
  float ms = -1;
  OK(cuEventQuery(a)); // never recorded
  OK(cuEventSynchronize(a));
  GIVES(400, cuEventElapsedTime(&ms, a, b));
  OK(cuEventRecord(a, s));
  OK(cuEventRecord(b, s));
  OK(cuEventRecord(plain, s));
  GIVES(600, cuEventElapsedTime(&ms, a, b));
  OK(cuEventSynchronize(b));
  OK(cuEventElapsedTime(&ms, a, b));
  TRUE(ms >= 0);
  OK(cuEventSynchronize(plain));
  GIVES(400, cuEventElapsedTime(&ms, a, plain)); // without timing
  OK(cuEventRecord(a, s));
  OK(cuEventDestroy_v2(a)); // while it is recorded
  OK(cuStreamSynchronize(s));
}

void run_batch(void) {
  open_device(0);
  char *p = memory(SLAB);
  Ptr at = mapped(0, SLAB, 3), to[3] = {at, at + 100, at + 200}, from[3] = {(Ptr)p, (Ptr)p + 100, (Ptr)p + 200};
  size_t sizes[3] = {100, 100, 100}, first[2] = {0, 1};
  Attributes a[2] = {{.order = 3}, {.order = 1}};
  Object s = stream(1);
  memset(p, 5, SLAB);
  OK(cuMemHostRegister_v2(p, SLAB, 1));
  GIVES(400, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 1, NULL));
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 0, s));
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 0, a, first, 1, s));
  first[0] = 1;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 1, s));
  first[0] = 0, a[0].order = 0;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 1, s));
  a[0].order = 4;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 1, s));
  a[0].order = 3, a[0].flags = 2;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 1, s));
  a[0].flags = 0, first[1] = 0;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 2, s));
  first[1] = 3;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 2, s));
  first[1] = 1;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 1, a, first, 2, s));
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, NULL, first, 1, s));
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, NULL, 1, s));
  GIVES(1, cuMemcpyBatchAsync_v2(NULL, from, sizes, 3, a, first, 1, s));
  sizes[2] = 0;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 1, s));
  sizes[2] = 100;
  a[0].order = 3, to[1] = at + SLAB;
  GIVES(1, cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 2, s)); // one is wrong: none is done
  OK(cuStreamSynchronize(s));
  TRUE(all((void *)at, 0xa5, SLAB));
  to[1] = at; // twice the same place: no order among copies, and here the first is last
  p[0] = 6;
  OK(cuMemcpyBatchAsync_v2(to, from, sizes, 3, a, first, 2, s));
  OK(cuStreamSynchronize(s));
  TRUE(byte(at) == 6 && byte(at + 1) == 5 && byte(at + 100) == 0xa5 && byte(at + 200) == 5);
}

// copies makes some of each kind, for the counters.
void run_copies(void) {
  open_device(0);
  char *p = memory(SLAB);
  Ptr at = mapped(0, SLAB, 3);
  OK(cuMemcpyHtoDAsync_v2(at, p, 1000, NULL));
  OK(cuMemcpyHtoDAsync_v2(at, p, 24, NULL));
  OK(cuMemcpyHtoDAsync_v2(at, p, 0, NULL));
  OK(cuMemcpyDtoDAsync_v2(at + 5000, at, 300, NULL));
  GIVES(1, cuMemcpyDtoDAsync_v2(at + 10, at, 300, NULL)); // they overlap
  OK(cuMemcpyDtoHAsync_v2(p, at, 50, NULL));
  OK(cuMemsetD8Async(at, 1, 7, NULL));
  OK(cuMemsetD8Async(at, 1, 0, NULL));
  GIVES(1, cuMemsetD8Async(at + SLAB - 1, 1, 2, NULL));
  OK(cuCtxSynchronize());
}

static int wrong(const char *p, int value) {
  int n = 0;
  for (int i = 0; i < 1000; i++) n += p[i] != value;
  return n;
}

// spoiled moves bytes up, over and down, and fills some: how many are wrong of each.
void run_spoiled(void) {
  open_device(0);
  char up[1000], down[1000];
  Ptr a = mapped(0, SLAB, 3), b = mapped(0, SLAB, 3), c = mapped(0, SLAB, 3);
  memset(up, 1, sizeof up);
  OK(cuMemcpyHtoDAsync_v2(a, up, sizeof up, NULL));
  OK(cuMemcpyDtoDAsync_v2(b, a, sizeof up, NULL));
  OK(cuMemcpyDtoHAsync_v2(down, b, sizeof up, NULL));
  OK(cuMemsetD8Async(c, 1, sizeof up, NULL));
  OK(cuCtxSynchronize());
  printf("%d %d %d %d\n", wrong((char *)a, 1), wrong((char *)b, 1), wrong(down, 1), wrong((char *)c, 1));
}

static char *read_all(const char *path) {
  FILE *f = fopen(path, "re");
  char *text = calloc(1, 1 << 20);
  if (!f || !fread(text, 1, (1 << 20) - 1, f)) abort();
  fclose(f);
  return text;
}

void run_modules(void) {
  open_device(0);
  Object m, f;
  char *text = read_all(arguments[0]), bad[256];
  GIVES(218, cuModuleLoadData(&m, "hello"));
  const char *form = ".version %s\n.target %s\n.address_size %d\n.visible .entry %s(\n.param .u64 a\n)\n{\nret;\n}\n%s";
  snprintf(bad, sizeof bad, form, "12.0", "sm_75", 64, "x", "");
  GIVES(222, cuModuleLoadData(&m, bad)); // newer than the driver
  snprintf(bad, sizeof bad, form, "6.4", "sm_100", 64, "x", "");
  GIVES(218, cuModuleLoadData(&m, bad)); // newer than the device
  snprintf(bad, sizeof bad, form, "6.4", "sm_75", 64, "x", "{");
  GIVES(218, cuModuleLoadData(&m, bad)); // cut off
  snprintf(bad, sizeof bad, form, "6.4", "sm_75", 64, "x", "\xff\x01");
  GIVES(218, cuModuleLoadData(&m, bad)); // no zero byte behind the text
  snprintf(bad, sizeof bad, form, "6.4", "sm_75", 64, "x", "} {");
  GIVES(218, cuModuleLoadData(&m, bad));
  snprintf(bad, sizeof bad, form, "6.4", "sm_75", 32, "x", "");
  GIVES(218, cuModuleLoadData(&m, bad));
  GIVES(218, cuModuleLoadData(&m, ".target sm_75\n.address_size 64\n"));
  GIVES(218, cuModuleLoadData(&m, ".version 6.4\n.address_size 64\n"));
  snprintf(bad, sizeof bad, form, "6.4", "sm_75", 64, "ingot_sum64", "");
  OK(cuModuleLoadData(&m, bad));
  GIVES(500, cuModuleGetFunction(&f, m, "ingot_sum64")); // with other parameters than the twin
  GIVES(500, cuModuleGetFunction(&f, m, "ingot_sum"));
  OK(cuModuleUnload(m));
  GIVES(400, cuModuleUnload(m));
  OK(cuModuleLoadData(&m, text));
  OK(cuModuleGetFunction(&f, m, "ingot_sum64"));
  Ptr at = mapped(0, SLAB, 3), from = at + 64, bytes = 100;
  void *values[] = {&at, &from, &bytes};
  GIVES(1, cuLaunchKernel(f, 0, 1, 1, 32, 1, 1, 0, NULL, values, NULL));
  GIVES(1, cuLaunchKernel(f, 1, 1, 1, 2048, 1, 1, 0, NULL, values, NULL));
  GIVES(1, cuLaunchKernel(f, 1, 1, 1, 0, 1, 1, 0, NULL, values, NULL));
  GIVES(1, cuLaunchKernel(f, 1u << 31, 1, 1, 32, 1, 1, 0, NULL, values, NULL));
  GIVES(1, cuLaunchKernel(f, 1, 2, 1, 32, 1, 1, 0, NULL, values, NULL)); // kernels of one dimension
  GIVES(1, cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 1 << 20, NULL, values, NULL));
  GIVES(1, cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, values, values));
  GIVES(1, cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL));
  GIVES(1, cuLaunchKernel(f, 1, 1, 1, 48, 1, 1, 0, NULL, values, NULL)); // not a multiple of 32
  from = at;
  GIVES(1, cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, values, NULL)); // it writes what it reads
  GIVES(400, cuLaunchKernel(m, 1, 1, 1, 32, 1, 1, 0, NULL, values, NULL));
  OK(cuModuleUnload(m));
  GIVES(400, cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, NULL, values, NULL)); // its module is gone
}

// old_driver loads what an older driver knows, and what it does not.
void run_old_driver(void) {
  open_device(0);
  Object m;
  int v;
  OK(cuDriverGetVersion(&v));
  TRUE(v == 12040);
  OK(cuModuleLoadData(&m, ".version 8.4\n.target sm_75\n.address_size 64\n"));
  GIVES(222, cuModuleLoadData(&m, ".version 8.5\n.target sm_75\n.address_size 64\n"));
}

static Object function(const char *name) {
  Object m, f;
  OK(cuModuleLoadData(&m, read_all(arguments[0])));
  OK(cuModuleGetFunction(&f, m, name));
  return f;
}

static Object launch(const char *name, void **values) {
  OK(cuLaunchKernel(function(name), 3, 1, 1, 64, 1, 1, 0, NULL, values, NULL));
  return NULL;
}

void run_kernels(void) {
  open_device(0);
  Ptr at = mapped(0, SLAB, 3), low = at + 4096, high = at + 8192, n = 9, sum = at + 12288, bytes = 18;
  fill(low, 1, 9);
  fill(high, 2, 9);
  fill(sum, 0, 8);
  void *merge[] = {&at, &low, &high, &n};
  void *add[] = {&sum, &at, &bytes};
  launch("ingot_merge2", merge);
  launch("ingot_sum64", add);
  TRUE(byte(at) == 0xa5); // later
  OK(cuStreamSynchronize(NULL));
  for (int i = 0; i < 9; i++) TRUE(byte(at + 2 * i) == 1 && byte(at + 2 * i + 1) == 2);
  TRUE(byte(at + 18) == 0xa5);
  printf("%llu\n", *(unsigned long long *)sum);
}

void run_kernel_bounds(void) {
  open_device(0);
  Ptr at = mapped(0, SLAB, 3), from = at + 64, bytes = SLAB;
  void *values[] = {&at, &from, &bytes}; // over the end
  launch("ingot_sum64", values);
  GIVES(700, cuStreamSynchronize(NULL));
}

void run_busy_kernel(void) {
  open_device(0);
  Ptr at = mapped(0, SLAB, 3), from = mapped(0, SLAB, 3), bytes = 64;
  void *values[] = {&at, &from, &bytes};
  launch("ingot_sum64", values);
  GIVES(700, cuMemUnmap(from, SLAB));
}

void run_misaligned(void) {
  open_device(0);
  Ptr at = mapped(0, SLAB, 3), from = at + 65, bytes = 64;
  void *values[] = {&at, &from, &bytes};
  cuLaunchKernel(function("ingot_sum64"), 1, 1, 1, 64, 1, 1, 0, NULL, values, NULL);
  GIVES(716, cuStreamSynchronize(NULL));
  GIVES(716, cuCtxSynchronize());
}

static void *churn(void *context) {
  OK(cuCtxSetCurrent(context));
  Object s = stream(1);
  char *p = memory(SLAB);
  for (int i = 0; i < 40; i++) {
    Ptr at = mapped(0, SLAB, 3);
    if (i % 4 == 0) OK(cuMemHostRegister_v2(p, SLAB, 1));
    OK(cuMemcpyHtoDAsync_v2(at, p, SLAB, s));
    Object e = event(2);
    OK(cuEventRecord(e, s));
    OK(cuStreamWaitEvent(NULL, e, 0));
    OK(cuEventSynchronize(e));
    OK(cuEventDestroy_v2(e));
    if (i % 4 == 3) OK(cuMemHostUnregister(p));
    Handle again;
    OK(cuMemRetainAllocationHandle(&again, (void *)at));
    OK(cuMemUnmap(at, SLAB));
    OK(cuMemAddressFree(at, SLAB));
    OK(cuMemRelease(again));
  }
  OK(cuStreamDestroy_v2(s));
  return NULL;
}

// stress has threads do everything at once; afterwards nothing is left.
void run_stress(void) {
  Object c = open_device(0);
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, churn, c);
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  OK(cuCtxSynchronize());
  say("ready");
  hear();
}
