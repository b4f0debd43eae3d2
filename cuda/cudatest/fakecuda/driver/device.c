// device.c: devices, and their primary contexts. A context is current on a thread of
// the system, and on no other.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake.h"

int device_count;
static int visible[MAX_DEVICES]; // the machine's number of each device of this process
static _Atomic bool ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct context *primary[MAX_DEVICES];
static unsigned primary_flags[MAX_DEVICES];

#define STACK 16
static __thread uint64_t stack[STACK]; // contexts of this thread; the last one is current
static __thread int depth;

static const unsigned char uuid_head[15] = {0x1f, 0x90, 0xfa, 0xce, 0x0d, 0x0e, 0x4a, 0x11, 0x8b, 0xad, 0xc0, 0xde, 0x00, 0x00, 0x00};

bool device_ready(void) { return atomic_load(&ready); }

int device_global(CUdevice d) { return d >= 0 && d < device_count ? visible[d] : -1; }

CUdevice device_local(int global) {
  for (int i = 0; i < device_count; i++)
    if (visible[i] == global) return i;
  return -1;
}

static void uuid_of(int global, unsigned char *out) {
  memcpy(out, uuid_head, sizeof uuid_head);
  out[15] = global;
}

// parse_visible finds the device that one word of CUDA_VISIBLE_DEVICES names; -1 ends
// the list, as in the driver.
static int parse_visible(const char *word) {
  char *end;
  long n = strtol(word, &end, 10);
  if (*word && !*end) return n >= 0 && n < (long)state->devices ? n : -1;
  for (int i = 0; i < (int)state->devices; i++) {
    unsigned char u[16];
    char text[64];
    uuid_of(i, u);
    snprintf(text, sizeof text, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4],
             u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    if (!strncmp(text, word, strlen(word)) && strlen(word) > 4) return i;
  }
  return -1;
}

static void find_devices(void) {
  const char *list = getenv("CUDA_VISIBLE_DEVICES");
  device_count = 0;
  if (!list) {
    for (; device_count < (int)state->devices && device_count < MAX_DEVICES; device_count++) visible[device_count] = device_count;
    return;
  }
  char text[1024], *rest = text;
  snprintf(text, sizeof text, "%s", list);
  for (char *word; (word = strsep(&rest, ",")) && device_count < MAX_DEVICES;) {
    int d = parse_visible(word);
    if (d < 0) return;
    visible[device_count++] = d;
  }
}

API CUresult cuInit(unsigned flags) {
  ENTER(cuInit);
  if (flags) return INVALID_VALUE;
  pthread_mutex_lock(&lock);
  find_devices();
  atomic_store(&ready, device_count > 0);
  pthread_mutex_unlock(&lock);
  return device_count ? SUCCESS : NO_DEVICE;
}

API CUresult cuDriverGetVersion(int *version) {
  ENTER(cuDriverGetVersion);
  if (!version) return INVALID_VALUE;
  *version = state->version;
  return SUCCESS;
}

API CUresult cuGetProcAddress_v2(const char *name, void **out, int version, uint64_t flags, int *status) {
  ENTER(cuGetProcAddress_v2);
  (void)version, (void)flags;
  if (!name || !out) return INVALID_VALUE;
  Dl_info here;
  void *library = dladdr((void *)&cuInit, &here) ? dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD) : NULL;
  *out = NULL; // as the driver does, it takes the plain name and gives the newest form
  for (int form = 3; library && form > 0 && !*out; form--) {
    char full[128];
    snprintf(full, sizeof full, form > 1 ? "%s_v%d" : "%s", name, form);
    *out = dlsym(library, full);
  }
  if (library) dlclose(library);
  if (status) *status = *out ? 0 : 1;
  return *out ? SUCCESS : NOT_FOUND;
}

API CUresult cuDeviceGetCount(int *count) {
  ENTER(cuDeviceGetCount);
  if (!count) return INVALID_VALUE;
  *count = device_count;
  return SUCCESS;
}

API CUresult cuDeviceGet(CUdevice *out, int ordinal) {
  ENTER(cuDeviceGet);
  if (!out) return INVALID_VALUE;
  if (device_global(ordinal) < 0) return INVALID_DEVICE;
  *out = ordinal;
  return SUCCESS;
}

API CUresult cuDeviceGetName(char *out, int size, CUdevice d) {
  ENTER(cuDeviceGetName);
  if (device_global(d) < 0) return INVALID_DEVICE;
  if (!out || size < 1) return INVALID_VALUE;
  snprintf(out, size, "FAKE H200");
  return SUCCESS;
}

API CUresult cuDeviceGetUuid_v2(unsigned char *out, CUdevice d) {
  ENTER(cuDeviceGetUuid_v2);
  if (device_global(d) < 0) return INVALID_DEVICE;
  if (!out) return INVALID_VALUE;
  uuid_of(device_global(d), out);
  return SUCCESS;
}

API CUresult cuDeviceTotalMem_v2(size_t *out, CUdevice d) {
  ENTER(cuDeviceTotalMem_v2);
  if (device_global(d) < 0) return INVALID_DEVICE;
  if (!out) return INVALID_VALUE;
  *out = state->memory;
  return SUCCESS;
}

static int attribute(int a, int global) {
  switch (a) {
  case 1: return 1024;                       // threads of a block
  case 10: return 32;                        // threads of a warp
  case 16: return 132;                       // multiprocessors
  case 33: return 0x10 + global;             // PCI bus
  case 34: return 0;                         // PCI device
  case 39: return 2048;                      // threads of a multiprocessor
  case 40: return 3;                         // copy engines
  case 41: return 1;                         // unified addressing
  case 75: return 9;                         // compute capability 9.0
  case 99: return 1;                         // host memory can be registered
  case 102: case 103: return 1;              // VMM, and handles as descriptors
  case 113: return state->read_only_register; // registration of what is read-only
  default: return 0;                         // 100: not through host page tables; 110: no RDMA; 128: no fabric
  }
}

API CUresult cuDeviceGetAttribute(int *out, int a, CUdevice d) {
  ENTER(cuDeviceGetAttribute);
  if (device_global(d) < 0) return INVALID_DEVICE;
  if (!out || a < 1 || a > 160) return INVALID_VALUE;
  *out = attribute(a, device_global(d));
  return SUCCESS;
}

API CUresult cuDeviceGetPCIBusId(char *out, int size, CUdevice d) {
  ENTER(cuDeviceGetPCIBusId);
  if (device_global(d) < 0) return INVALID_DEVICE;
  if (!out || size < 13) return INVALID_VALUE;
  snprintf(out, size, "0000:%02x:00.0", 0x10 + device_global(d));
  return SUCCESS;
}

API CUresult cuDeviceCanAccessPeer(int *out, CUdevice a, CUdevice b) {
  ENTER(cuDeviceCanAccessPeer);
  if (device_global(a) < 0 || device_global(b) < 0) return INVALID_DEVICE;
  if (!out) return INVALID_VALUE;
  *out = 0;
  return SUCCESS;
}

API CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice d, unsigned flags) {
  ENTER(cuDevicePrimaryCtxSetFlags_v2);
  if (device_global(d) < 0) return INVALID_DEVICE;
  if (flags & ~0x1fu || (flags & 7) == 3 || (flags & 7) > 4) return INVALID_VALUE;
  pthread_mutex_lock(&lock);
  primary_flags[device_global(d)] = flags;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

API CUresult cuDevicePrimaryCtxGetState(CUdevice d, unsigned *flags, int *active) {
  ENTER(cuDevicePrimaryCtxGetState);
  if (device_global(d) < 0) return INVALID_DEVICE;
  if (!flags || !active) return INVALID_VALUE;
  pthread_mutex_lock(&lock);
  *flags = primary_flags[device_global(d)];
  *active = primary[device_global(d)] != NULL;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

static CUresult context_new(int device) {
  struct context *c = calloc(1, sizeof *c);
  c->device = device;
  c->fd = -1;
  if (state->context) {
    c->fd = memfd_create("fakecuda-context", MFD_CLOEXEC);
    if (c->fd < 0 || ledger_charge(device, state->context, c->fd)) {
      if (c->fd >= 0) close(c->fd);
      free(c);
      return OUT_OF_MEMORY;
    }
  }
  c->id = object_add(KIND_CONTEXT, c);
  primary[device] = c;
  live(CONTEXTS, 1);
  return SUCCESS;
}

API CUresult cuDevicePrimaryCtxRetain(uint64_t *out, CUdevice d) {
  ENTER(cuDevicePrimaryCtxRetain);
  int device = device_global(d);
  if (device < 0) return INVALID_DEVICE;
  if (!out) return INVALID_VALUE;
  pthread_mutex_lock(&lock);
  CUresult r = primary[device] ? SUCCESS : context_new(device);
  if (!r) {
    primary[device]->uses++;
    *out = primary[device]->id;
  }
  pthread_mutex_unlock(&lock);
  return r;
}

// context_end destroys a context and what lives in it. What VMM gave is not part of
// it, and stays. The structure itself stays too: streams point to it.
static void context_end(struct context *c) {
  stream_end_context(c);
  module_end_context(c);
  host_forget(c);
  live(ALLOCATIONS, -space_free_all(c->device));
  object_remove(KIND_CONTEXT, c->id);
  if (c->fd >= 0) close(c->fd);
  live(CONTEXTS, -1);
}

API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) {
  ENTER(cuDevicePrimaryCtxRelease_v2);
  int device = device_global(d);
  if (device < 0) return INVALID_DEVICE;
  pthread_mutex_lock(&lock);
  struct context *c = primary[device];
  bool last = c && --c->uses == 0;
  if (last) primary[device] = NULL;
  pthread_mutex_unlock(&lock);
  if (last) context_end(c);
  return c ? SUCCESS : INVALID_CONTEXT;
}

struct context *context_current(void) {
  return depth && stack[depth - 1] ? object_get(KIND_CONTEXT, stack[depth - 1]) : NULL;
}

CUresult context_check(void) {
  if (!depth || !stack[depth - 1]) return INVALID_CONTEXT;
  return context_current() ? SUCCESS : CONTEXT_IS_DESTROYED;
}

API CUresult cuCtxSetCurrent(uint64_t c) {
  ENTER(cuCtxSetCurrent);
  if (c && !object_get(KIND_CONTEXT, c)) return INVALID_CONTEXT;
  if (!depth) depth = 1;
  stack[depth - 1] = c;
  return SUCCESS;
}

API CUresult cuCtxGetCurrent(uint64_t *out) {
  ENTER(cuCtxGetCurrent);
  if (!out) return INVALID_VALUE;
  *out = depth ? stack[depth - 1] : 0;
  return SUCCESS;
}

API CUresult cuCtxPushCurrent_v2(uint64_t c) {
  ENTER(cuCtxPushCurrent_v2);
  if (!object_get(KIND_CONTEXT, c) || depth == STACK) return INVALID_CONTEXT;
  stack[depth++] = c;
  return SUCCESS;
}

API CUresult cuCtxPopCurrent_v2(uint64_t *out) {
  ENTER(cuCtxPopCurrent_v2);
  if (!depth || !stack[depth - 1]) return INVALID_CONTEXT;
  depth--;
  if (out) *out = stack[depth];
  return SUCCESS;
}

API CUresult cuCtxGetDevice(CUdevice *out) {
  ENTER(cuCtxGetDevice);
  if (!out) return INVALID_VALUE;
  *out = device_local(context_current()->device);
  return SUCCESS;
}

API CUresult cuCtxSynchronize(void) {
  ENTER(cuCtxSynchronize);
  return stream_wait_context(context_current());
}

API CUresult cuMemGetInfo_v2(size_t *available, size_t *total) {
  ENTER(cuMemGetInfo_v2);
  if (!available || !total) return INVALID_VALUE;
  uint64_t used = ledger_used(context_current()->device);
  *total = state->memory;
  *available = used < state->memory ? state->memory - used : 0;
  return SUCCESS;
}
