// refused.c: what is no argument at all, and other things that are refused at once.
#include <sys/mman.h>

#include "client.h"

static const Properties fine = {.type = 1, .handles = 1, .location = {1, 0}};

// Nothing where something must be: a driver says so, and does not crash.
void run_nothing(void) {
  Object c = open_device(0), s;
  size_t n;
  int v;
  Handle h = create(0, SLAB);
  Ptr at = mapped(0, SLAB, 3);
  GIVES(1, cuDriverGetVersion(NULL));
  GIVES(1, cuGetErrorName(1, NULL));
  GIVES(1, cuDeviceGetCount(NULL));
  GIVES(1, cuDeviceGet(NULL, 0));
  GIVES(1, cuDeviceGetUuid_v2(NULL, 0));
  GIVES(1, cuDeviceGetAttribute(NULL, 1, 0));
  GIVES(1, cuDevicePrimaryCtxRetain(NULL, 0));
  GIVES(1, cuCtxGetCurrent(NULL));
  GIVES(1, cuCtxGetDevice(NULL));
  GIVES(1, cuMemGetInfo_v2(NULL, &n));
  GIVES(1, cuMemGetInfo_v2(&n, NULL));
  GIVES(1, cuMemGetAllocationGranularity(NULL, &fine, 0));
  GIVES(1, cuMemCreate(NULL, SLAB, &fine, 0));
  GIVES(1, cuMemExportToShareableHandle(NULL, h, 1, 0));
  GIVES(1, cuMemImportFromShareableHandle(NULL, NULL, 1));
  GIVES(1, cuMemRetainAllocationHandle(NULL, (void *)at));
  GIVES(1, cuMemAddressReserve(NULL, SLAB, 0, 0, 0));
  GIVES(1, cuMemSetAccess(at, SLAB, NULL, 1));
  GIVES(1, cuMemAlloc_v2(NULL, 1));
  GIVES(1, cuMemAlloc_v2(&at, 0));
  GIVES(1, cuMemHostAlloc(NULL, 1, 0));
  GIVES(1, cuPointerGetAttribute(NULL, 2, at));
  GIVES(1, cuPointerGetAttributes(0, &v, (void **)&s, at));
  GIVES(1, cuPointerGetAttributes(1, NULL, (void **)&s, at));
  GIVES(1, cuPointerGetAttributes(1, &v, NULL, at));
  GIVES(1, cuStreamCreate(NULL, 0));
  GIVES(1, cuEventCreate(NULL, 0));
  GIVES(1, cuModuleLoadData(NULL, ""));
  GIVES(1, cuModuleLoadData(&s, NULL));
  GIVES(1, cuModuleGetFunction(NULL, c, "x"));
  GIVES(1, cuModuleGetFunction(&s, c, NULL));
  GIVES(400, cuModuleGetFunction(&s, c, "x"));
  OK(cuMemFree_v2(0));
}

void run_numbers(void) {
  Object c = open_device(0), current, s;
  int v;
  Properties p = fine;
  Handle h = create(0, SLAB);
  Ptr at = mapped(0, SLAB, 3);
  char b[8] = {0};
  GIVES(1, cuDeviceGetAttribute(&v, 161, 0));
  GIVES(101, cuDevicePrimaryCtxSetFlags_v2(9, 0));
  GIVES(1, cuDevicePrimaryCtxSetFlags_v2(0, 5));
  GIVES(1, cuDevicePrimaryCtxSetFlags_v2(0, 0x20));
  GIVES(101, cuDevicePrimaryCtxRelease_v2(9));
  GIVES(201, cuCtxPushCurrent_v2((Object)5));
  OK(cuCtxPopCurrent_v2(&current));
  TRUE(current == c);
  GIVES(201, cuCtxPopCurrent_v2(&current));
  OK(cuCtxPushCurrent_v2(c));
  size_t n;
  GIVES(1, cuMemGetAllocationGranularity(&n, &fine, 2));
  p.win32 = b, p.type = 1;
  GIVES(1, cuMemCreate(&h, SLAB, &p, 0));
  p.win32 = NULL, p.usage = 1;
  GIVES(1, cuMemCreate(&h, SLAB, &p, 0));
  GIVES(1, cuMemExportToShareableHandle(&v, h, 1, 1));
  GIVES(1, cuMemExportToShareableHandle(&v, 77, 1, 0));
  GIVES(801, cuMemImportFromShareableHandle(&h, NULL, 8));
  GIVES(1, cuMemRetainAllocationHandle(&h, b));
  GIVES(1, cuMemAddressReserve(&at, 0, 0, 0, 0));
  GIVES(1, cuMemAddressReserve(&at, SLAB, 0, 0, 1));
  GIVES(801, cuMemHostRegister_v2(memory(SLAB), SLAB, 4));
  GIVES(2, cuMemHostRegister_v2(memory(SLAB), 512ull << 30, 1));
  GIVES(1, cuMemHostAlloc((void **)&at, 1, 8));
  at = mapped(0, SLAB, 3);
  s = (Object)0x7777;
  GIVES(400, cuMemcpyHtoDAsync_v2(at, b, sizeof b, s));
  GIVES(400, cuMemsetD8Async(at, 0, 1, s));
  GIVES(400, cuEventRecord(s, s));
  GIVES(400, cuEventRecord(s, NULL));
  GIVES(400, cuStreamWaitEvent(s, s, 0));
  GIVES(400, cuStreamWaitEvent(NULL, s, 0));
  GIVES(1, cuStreamWaitEvent(NULL, s, 2));
  GIVES(400, cuEventSynchronize(s));
  GIVES(1, cuEventCreate(&s, 8));
  GIVES(1, cuEventCreate(&s, 4));
  GIVES(1, cuMemcpyHtoD_v2(-8, b, 16)); // around the end of all addresses
}

// Ranges that end inside of a mapping, or lie over a gap.
void run_ranges(void) {
  open_device(0);
  unsigned long long flags;
  Location here = {1, 0}, there = {1, 7}, host = {2, 0};
  Access odd = {{2, 0}, 3}, rw = {{1, 0}, 3};
  Handle a = create(0, 2 * SLAB), b = create(0, SLAB);
  Ptr at = reserve(8 * SLAB);
  char *p = memory(4 * SLAB);
  OK(cuMemMap(at, 2 * SLAB, 0, a, 0));
  OK(cuMemMap(at + 3 * SLAB, SLAB, 0, b, 0));
  OK(cuMemGetAccess(&flags, &here, at + 5));
  TRUE(flags == 0);
  GIVES(101, cuMemSetAccess(at, 2 * SLAB, &odd, 1));
  GIVES(1, cuMemSetAccess(at + SLAB, 2 * SLAB, &rw, 1));
  GIVES(1, cuMemSetAccess(at + SLAB, 0, &rw, 1));
  GIVES(1, cuMemUnmap(at + SLAB, 2 * SLAB));
  OK(cuMemSetAccess(at, 2 * SLAB, &rw, 1));
  OK(cuMemSetAccess(at + 3 * SLAB, SLAB, &rw, 1));
  OK(cuMemGetAccess(&flags, &here, at + 5));
  TRUE(flags == 3);
  GIVES(1, cuMemGetAccess(&flags, &here, at + 2 * SLAB));
  GIVES(1, cuMemGetAccess(&flags, &there, at));
  GIVES(1, cuMemGetAccess(&flags, &host, at));
  GIVES(1, cuMemGetAccess(NULL, &here, at));
  GIVES(1, cuMemGetAccess(&flags, NULL, at));
  GIVES(1, cuMemcpyHtoD_v2(at, p, 4 * SLAB)); // over the gap
  OK(cuMemcpyHtoD_v2(at + SLAB / 2, p, SLAB));
  OK(cuMemMap(at + 2 * SLAB, SLAB, 0, b, 0)); // the slab twice, and the gap closed
  grant(at + 2 * SLAB, SLAB, 0, 3);
  OK(cuMemcpyHtoD_v2(at, p, 4 * SLAB));
}

// A process that does not see a device cannot import its memory.
void run_importer_refused(void) {
  Handle h;
  OK(cuInit(0));
  GIVES(1, cuMemImportFromShareableHandle(&h, (void *)3, 1));
}
