// memory.c: physical memory of devices. A piece is a memfd, so that a handle that is
// exported is a real descriptor, and memory lives as long as anything holds it.
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// poison fills new memory: a device does not clear it, and whoever counts on zeros
// must not find them.
static bool poison(int fd, uint64_t size) {
  static unsigned char block[1 << 20];
  static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&once);
  if (block[0] != POISON) memset(block, POISON, sizeof block);
  pthread_mutex_unlock(&once);
  for (uint64_t at = 0; at < size;) {
    uint64_t n = size - at < sizeof block ? size - at : sizeof block;
    ssize_t wrote = pwrite(fd, block, n, at);
    if (wrote < 0 && errno != EINTR) return false;
    if (wrote > 0) at += wrote;
  }
  return true;
}

// memfd makes the file of a piece, which carries its device in its name.
static int memfd(int device, uint64_t size) {
  char name[64];
  snprintf(name, sizeof name, "fakecuda-memory-%d", device);
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return -1;
  if (ftruncate(fd, size) == 0) return fd;
  close(fd);
  return -1;
}

static struct memory *memory_of(int fd, int device, uint64_t size, bool exportable) {
  struct memory *m = calloc(1, sizeof *m);
  m->fd = fd;
  m->device = device;
  m->size = size;
  m->exportable = exportable;
  m->refs = 1;
  live(PIECES, 1);
  return m;
}

CUresult memory_new(int device, uint64_t size, bool exportable, struct memory **out) {
  int fd = memfd(device, size);
  if (fd < 0) return OUT_OF_MEMORY;
  CUresult r = ledger_charge(device, size, fd);
  if (!r && !poison(fd, size)) r = OUT_OF_MEMORY;
  if (r) {
    close(fd);
    return r;
  }
  *out = memory_of(fd, device, size, exportable);
  return SUCCESS;
}

void memory_ref(struct memory *m) {
  pthread_mutex_lock(&lock);
  m->refs++;
  pthread_mutex_unlock(&lock);
}

void memory_unref(struct memory *m) {
  pthread_mutex_lock(&lock);
  bool last = --m->refs == 0;
  pthread_mutex_unlock(&lock);
  if (!last) return;
  close(m->fd);
  free(m);
  live(PIECES, -1);
}

struct memory *memory_get(uint64_t handle) {
  pthread_mutex_lock(&lock); // a handle's own reference goes under this lock too
  struct memory *m = object_get(KIND_MEMORY, handle);
  if (m) m->refs++;
  pthread_mutex_unlock(&lock);
  return m;
}

static CUresult check_properties(const Properties *p) {
  if (!p || p->type != 1 || p->location.type != 1) return INVALID_VALUE;
  if (device_global(p->location.id) < 0) return INVALID_DEVICE;
  if (p->handle_types > 1) return NOT_SUPPORTED;
  if (p->win32 || p->compression || p->rdma || p->usage) return INVALID_VALUE; // rdma: attribute 110 is 0
  for (int i = 0; i < 4; i++)
    if (p->reserved[i]) return INVALID_VALUE;
  return SUCCESS;
}

API CUresult cuMemGetAllocationGranularity(size_t *out, const Properties *p, int option) {
  ENTER(cuMemGetAllocationGranularity);
  if (!out || option < 0 || option > 1) return INVALID_VALUE;
  CUresult r = check_properties(p);
  if (!r) *out = GRANULARITY;
  return r;
}

API CUresult cuMemCreate(uint64_t *out, size_t size, const Properties *p, uint64_t flags) {
  ENTER(cuMemCreate);
  if (!out || !size || size % GRANULARITY || flags) return INVALID_VALUE;
  CUresult r = check_properties(p);
  if (r) return r;
  struct memory *m;
  if ((r = memory_new(device_global(p->location.id), size, p->handle_types == 1, &m))) return r;
  *out = object_add(KIND_MEMORY, m);
  live(HANDLES, 1);
  return SUCCESS;
}

API CUresult cuMemRelease(uint64_t handle) {
  ENTER(cuMemRelease);
  pthread_mutex_lock(&lock);
  struct memory *m = object_remove(KIND_MEMORY, handle);
  pthread_mutex_unlock(&lock);
  if (!m) return INVALID_VALUE;
  memory_unref(m); // mappings keep it
  live(HANDLES, -1);
  return SUCCESS;
}

API CUresult cuMemExportToShareableHandle(void *out, uint64_t handle, int type, uint64_t flags) {
  ENTER(cuMemExportToShareableHandle);
  if (!out || flags) return INVALID_VALUE;
  if (type != 1) return NOT_SUPPORTED;
  struct memory *m = memory_get(handle);
  if (!m) return INVALID_VALUE;
  int fd = m->exportable ? fcntl(m->fd, F_DUPFD_CLOEXEC, 3) : -1;
  memory_unref(m);
  if (fd < 0) return INVALID_VALUE;
  *(int *)out = fd;
  return SUCCESS;
}

// device_of tells of which device the memory of a descriptor is; -1 if it is none.
static int device_of(int fd) {
  char path[64], name[128];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(path, name, sizeof name - 1);
  if (n < 0) return -1;
  name[n] = 0;
  int device;
  if (sscanf(name, "/memfd:fakecuda-memory-%d", &device) != 1 || device_local(device) < 0) return -1;
  return device;
}

API CUresult cuMemImportFromShareableHandle(uint64_t *out, void *os, int type) {
  ENTER(cuMemImportFromShareableHandle);
  if (!out) return INVALID_VALUE;
  if (type != 1) return NOT_SUPPORTED;
  int device = device_of((int)(intptr_t)os);
  int fd = device < 0 ? -1 : fcntl((int)(intptr_t)os, F_DUPFD_CLOEXEC, 3);
  struct stat st;
  if (fd < 0) return INVALID_VALUE;
  if (fstat(fd, &st) || !st.st_size || st.st_size % GRANULARITY) {
    close(fd);
    return INVALID_VALUE;
  }
  *out = object_add(KIND_MEMORY, memory_of(fd, device, st.st_size, true));
  live(HANDLES, 1);
  return SUCCESS;
}

API CUresult cuMemGetAllocationPropertiesFromHandle(Properties *out, uint64_t handle) {
  ENTER(cuMemGetAllocationPropertiesFromHandle);
  if (!out) return INVALID_VALUE;
  struct memory *m = memory_get(handle);
  if (!m) return INVALID_VALUE;
  *out = (Properties){.type = 1, .handle_types = m->exportable, .location = {1, device_local(m->device)}};
  memory_unref(m);
  return SUCCESS;
}

API CUresult cuMemRetainAllocationHandle(uint64_t *out, void *address) {
  ENTER(cuMemRetainAllocationHandle);
  if (!out) return INVALID_VALUE;
  space_read_lock();
  struct mapping *at = space_at((CUdeviceptr)address);
  struct memory *m = at && !at->plain ? at->memory : NULL;
  if (m) memory_ref(m);
  space_unlock();
  if (!m) return INVALID_VALUE;
  *out = object_add(KIND_MEMORY, m);
  live(HANDLES, 1);
  return SUCCESS;
}
