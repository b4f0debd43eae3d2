// client.h: the driver as a client declares it, and what the scenarios share. The
// declarations are written from the driver's interface and not from the fake's.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long long Ptr;
typedef unsigned long long Handle;
typedef void *Object;
typedef struct { int type, id; } Location;
typedef struct {
  int type, handles;
  Location location;
  void *win32;
  unsigned char compression, rdma;
  unsigned short usage;
  unsigned char reserved[4];
} Properties;
typedef struct { Location location; int flags; } Access;
typedef struct { int order; Location from, to; unsigned flags; } Attributes;

int cuInit(unsigned);
int cuDriverGetVersion(int *);
int cuGetErrorName(int, const char **);
int cuGetProcAddress_v2(const char *, void **, int, uint64_t, int *);
int cuDeviceGetCount(int *);
int cuDeviceGet(int *, int);
int cuDeviceGetUuid_v2(unsigned char *, int);
int cuDeviceGetAttribute(int *, int, int);
int cuDevicePrimaryCtxSetFlags_v2(int, unsigned);
int cuDevicePrimaryCtxGetState(int, unsigned *, int *);
int cuDevicePrimaryCtxRetain(Object *, int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxSetCurrent(Object);
int cuCtxGetCurrent(Object *);
int cuCtxPushCurrent_v2(Object);
int cuCtxPopCurrent_v2(Object *);
int cuCtxGetDevice(int *);
int cuCtxSynchronize(void);
int cuMemGetInfo_v2(size_t *, size_t *);
int cuMemGetAllocationGranularity(size_t *, const Properties *, int);
int cuMemCreate(Handle *, size_t, const Properties *, unsigned long long);
int cuMemRelease(Handle);
int cuMemExportToShareableHandle(void *, Handle, int, unsigned long long);
int cuMemImportFromShareableHandle(Handle *, void *, int);
int cuMemRetainAllocationHandle(Handle *, void *);
int cuMemAddressReserve(Ptr *, size_t, size_t, Ptr, unsigned long long);
int cuMemAddressFree(Ptr, size_t);
int cuMemMap(Ptr, size_t, size_t, Handle, unsigned long long);
int cuMemUnmap(Ptr, size_t);
int cuMemSetAccess(Ptr, size_t, const Access *, size_t);
int cuMemGetAccess(unsigned long long *, const Location *, Ptr);
int cuMemAlloc_v2(Ptr *, size_t);
int cuMemFree_v2(Ptr);
int cuMemHostRegister_v2(void *, size_t, unsigned);
int cuMemHostUnregister(void *);
int cuMemHostAlloc(void **, size_t, unsigned);
int cuMemFreeHost(void *);
int cuPointerGetAttribute(void *, int, Ptr);
int cuPointerGetAttributes(unsigned, int *, void **, Ptr);
int cuMemGetAddressRange_v2(Ptr *, size_t *, Ptr);
int cuMemcpyHtoD_v2(Ptr, const void *, size_t);
int cuMemcpyDtoH_v2(void *, Ptr, size_t);
int cuMemcpyHtoDAsync_v2(Ptr, const void *, size_t, Object);
int cuMemcpyDtoHAsync_v2(void *, Ptr, size_t, Object);
int cuMemcpyDtoDAsync_v2(Ptr, Ptr, size_t, Object);
int cuMemcpyBatchAsync_v2(Ptr *, Ptr *, size_t *, size_t, Attributes *, size_t *, size_t, Object);
int cuMemsetD8Async(Ptr, unsigned char, size_t, Object);
int cuStreamCreate(Object *, unsigned);
int cuStreamDestroy_v2(Object);
int cuStreamSynchronize(Object);
int cuStreamQuery(Object);
int cuStreamWaitEvent(Object, Object, unsigned);
int cuEventCreate(Object *, unsigned);
int cuEventDestroy_v2(Object);
int cuEventRecord(Object, Object);
int cuEventQuery(Object);
int cuEventSynchronize(Object);
int cuEventElapsedTime(float *, Object, Object);
int cuLaunchHostFunc(Object, void (*)(void *), void *);
int cuModuleLoadData(Object *, const void *);
int cuModuleUnload(Object);
int cuModuleGetFunction(Object *, Object, const char *);
int cuLaunchKernel(Object, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Object, void **, void **);

#define MIB (1ull << 20)
#define SLAB (2 * MIB)

// GIVES wants a call to give a result, OK that it succeeds, TRUE that something holds.
void gives(const char *what, int line, int got, int want);
void holds(const char *what, int line, bool true_);
#define GIVES(want, call) gives(#call, __LINE__, call, want)
#define OK(call) GIVES(0, call)
#define TRUE(what) holds(#what, __LINE__, what)

extern char **arguments; // after the scenario's name

void *open_device(int device); // cuInit, and the primary context made current
Handle create(int device, size_t size);
Ptr reserve(size_t size);
Ptr mapped(int device, size_t size, int flags); // a slab of its own, and no handle left
void grant(Ptr at, size_t size, int device, int flags);
bool dies(volatile unsigned char *p, bool write); // of SIGSEGV
bool all(const void *p, int value, size_t n);
void *memory(size_t size);        // pages of the host, shared as the RAM tier's
void *file_memory(size_t size, int *fd);
void fill(Ptr at, int value, size_t n); // waits
bool device_all(Ptr at, int value, size_t n);
void say(const char *what); // a line for the test that started this
void hear(void);            // waits for a line of it
