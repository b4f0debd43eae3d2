// space.c: device addresses. A reservation is a range of this process's addresses, a
// mapping in it is pages of a piece's memfd, and access is the pages' protection: what
// reads or writes against it dies of SIGSEGV on a CPU and is error 700 in a stream.
#include <sys/mman.h>

#include "fake.h"

struct reservation {
  CUdeviceptr at;
  uint64_t size;
  bool plain;
  struct reservation *next;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct reservation *reservations;
static struct mapping *mappings; // by address
static size_t count, room;

void space_read_lock(void) { pthread_rwlock_rdlock(&lock); }
void space_unlock(void) { pthread_rwlock_unlock(&lock); }

// first returns the place of the first mapping that ends after at.
static size_t first(CUdeviceptr at) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t mid = (low + high) / 2;
    if (mappings[mid].at + mappings[mid].size > at)
      high = mid;
    else
      low = mid + 1;
  }
  return low;
}

struct mapping *space_at(CUdeviceptr at) {
  size_t i = first(at);
  return i < count && mappings[i].at <= at ? &mappings[i] : NULL;
}

static bool reserved(CUdeviceptr at) {
  for (struct reservation *r = reservations; r; r = r->next)
    if (at >= r->at && at - r->at < r->size) return true;
  return false;
}

bool space_is_device(CUdeviceptr at) {
  space_read_lock();
  bool is = reserved(at);
  space_unlock();
  return is;
}

// space_check tells whether a device may use a range so: ILLEGAL_ADDRESS where the
// access that was granted does not suffice, INVALID_VALUE where nothing is mapped.
CUresult space_check(CUdeviceptr at, uint64_t n, int access, int device) {
  CUdeviceptr end = at + n;
  if (end < at) return INVALID_VALUE;
  CUresult r = SUCCESS;
  for (size_t i = first(at); at < end; i++) {
    if (i >= count || mappings[i].at > at || mappings[i].memory->device != device) return INVALID_VALUE;
    if ((mappings[i].access & access) != access) r = ILLEGAL_ADDRESS;
    at = mappings[i].at + mappings[i].size;
  }
  return r;
}

// whole tells that a range is exactly some mappings, and which.
static bool whole(CUdeviceptr at, uint64_t n, size_t *from, size_t *to) {
  *from = *to = first(at);
  CUdeviceptr end = at + n;
  if (!n || end < at) return false;
  for (; at < end; (*to)++) {
    if (*to >= count || mappings[*to].at != at) return false;
    at += mappings[*to].size;
  }
  return at == end;
}

static CUresult reserve(uint64_t size, uint64_t align, bool plain, CUdeviceptr *out) {
  if (align < GRANULARITY) align = GRANULARITY;
  uint8_t *p = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return OUT_OF_MEMORY;
  uint64_t at = ((uint64_t)p + align - 1) / align * align, end = (uint64_t)p + size + align;
  if (at > (uint64_t)p) munmap(p, at - (uint64_t)p);
  if (end > at + size) munmap((void *)(at + size), end - at - size);
  struct reservation *r = calloc(1, sizeof *r);
  *r = (struct reservation){at, size, plain, reservations};
  reservations = r;
  if (!plain) live(RESERVATIONS, 1);
  *out = at;
  return SUCCESS;
}

static CUresult unreserve(CUdeviceptr at, uint64_t size, bool plain) {
  struct reservation **r = &reservations;
  while (*r && ((*r)->at != at || (*r)->size != size || (*r)->plain != plain)) r = &(*r)->next;
  if (!*r) return INVALID_VALUE;
  size_t i = first(at);
  if (i < count && mappings[i].at < at + size) return INVALID_VALUE; // something is mapped
  struct reservation *gone = *r;
  *r = gone->next;
  free(gone);
  munmap((void *)at, size);
  if (!plain) live(RESERVATIONS, -1);
  return SUCCESS;
}

static bool fits(CUdeviceptr at, uint64_t n) {
  struct reservation *r = reservations;
  while (r && (r->plain || at < r->at || at - r->at >= r->size || n > r->size - (at - r->at))) r = r->next;
  size_t i = first(at);
  return r && (i >= count || mappings[i].at >= at + n);
}

static CUresult map(CUdeviceptr at, struct memory *m, int access, bool plain) {
  int protection = access == 3 ? PROT_READ | PROT_WRITE : access == 1 ? PROT_READ : PROT_NONE;
  if (mmap((void *)at, m->size, protection, MAP_SHARED | MAP_FIXED, m->fd, 0) == MAP_FAILED) return OUT_OF_MEMORY;
  if (count == room) mappings = realloc(mappings, sizeof *mappings * (room = room * 2 + 64));
  size_t i = first(at);
  memmove(mappings + i + 1, mappings + i, sizeof *mappings * (count++ - i));
  mappings[i] = (struct mapping){at, m->size, m, access, plain};
  memory_ref(m);
  if (!plain) live(MAPPINGS, 1);
  if (access == 3) live(WRITABLE, 1);
  return SUCCESS;
}

static void unmap(size_t from, size_t to) {
  for (size_t i = from; i < to; i++) {
    struct mapping *m = &mappings[i];
    void *got = mmap((void *)m->at, m->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) violation("mmap over a mapping failed");
    if (!m->plain) live(MAPPINGS, -1);
    if (m->access == 3) live(WRITABLE, -1);
    memory_unref(m->memory);
  }
  memmove(mappings + from, mappings + to, sizeof *mappings * (count - to));
  count -= to - from;
}

API CUresult cuMemAddressReserve(CUdeviceptr *out, size_t size, size_t align, CUdeviceptr hint, uint64_t flags) {
  ENTER(cuMemAddressReserve);
  (void)hint; // a wish, which may be passed over
  if (!out || !size || size % GRANULARITY || (align & (align - 1)) || flags) return INVALID_VALUE;
  pthread_rwlock_wrlock(&lock);
  CUresult r = reserve(size, align, false, out);
  space_unlock();
  return r;
}

API CUresult cuMemAddressFree(CUdeviceptr at, size_t size) {
  ENTER(cuMemAddressFree);
  pthread_rwlock_wrlock(&lock);
  CUresult r = unreserve(at, size, false);
  space_unlock();
  return r;
}

API CUresult cuMemMap(CUdeviceptr at, size_t size, size_t offset, uint64_t handle, uint64_t flags) {
  ENTER(cuMemMap);
  struct memory *m = memory_get(handle);
  if (!m) return INVALID_VALUE;
  CUresult r = INVALID_VALUE;
  if (!offset && !flags && at % GRANULARITY == 0 && size == m->size) {
    pthread_rwlock_wrlock(&lock);
    if (fits(at, size)) r = map(at, m, 0, false);
    space_unlock();
  }
  memory_unref(m);
  return r;
}

API CUresult cuMemUnmap(CUdeviceptr at, size_t size) {
  ENTER(cuMemUnmap);
  if (stream_touches(at, size)) {
    complain("cuMemUnmap of %#llx while work that uses it is not done", (unsigned long long)at);
    return stick(ILLEGAL_ADDRESS);
  }
  size_t from, to;
  pthread_rwlock_wrlock(&lock);
  bool fine = whole(at, size, &from, &to);
  for (size_t i = from; fine && i < to; i++) fine = !mappings[i].plain;
  if (fine) unmap(from, to);
  space_unlock();
  return fine ? SUCCESS : INVALID_VALUE;
}

// grant sets the access of the mappings [from, to).
static CUresult grant(size_t from, size_t to, const Access *a) {
  int device = device_global(a->location.id);
  if (a->location.type != 1 || device < 0) return INVALID_DEVICE;
  if (a->flags != 0 && a->flags != 1 && a->flags != 3) return INVALID_VALUE;
  for (size_t i = from; i < to; i++)
    if (mappings[i].memory->device != device) return PEER_ACCESS_UNSUPPORTED;
  int protection = a->flags == 3 ? PROT_READ | PROT_WRITE : a->flags == 1 ? PROT_READ : PROT_NONE;
  for (size_t i = from; i < to; i++) {
    if (mprotect((void *)mappings[i].at, mappings[i].size, protection)) return INVALID_VALUE;
    live(WRITABLE, (a->flags == 3) - (mappings[i].access == 3));
    mappings[i].access = a->flags;
  }
  return SUCCESS;
}

API CUresult cuMemSetAccess(CUdeviceptr at, size_t size, const Access *a, size_t n) {
  ENTER(cuMemSetAccess);
  if (!a || !n) return INVALID_VALUE;
  size_t from, to;
  pthread_rwlock_wrlock(&lock);
  CUresult r = whole(at, size, &from, &to) ? SUCCESS : INVALID_VALUE;
  for (size_t i = 0; !r && i < n; i++) r = grant(from, to, &a[i]);
  space_unlock();
  return r;
}

API CUresult cuMemGetAccess(unsigned long long *out, const Location *l, CUdeviceptr at) {
  ENTER(cuMemGetAccess);
  if (!out || !l || l->type != 1 || device_global(l->id) < 0) return INVALID_VALUE;
  space_read_lock();
  struct mapping *m = space_at(at);
  if (m) *out = m->memory->device == device_global(l->id) ? m->access : 0;
  space_unlock();
  return m ? SUCCESS : INVALID_VALUE;
}

// space_alloc makes memory that is mapped from the start, as cuMemAlloc gives it.
CUresult space_alloc(int device, uint64_t size, CUdeviceptr *out) {
  size = (size + GRANULARITY - 1) / GRANULARITY * GRANULARITY;
  struct memory *m;
  CUresult r = memory_new(device, size, false, &m);
  if (r) return r;
  pthread_rwlock_wrlock(&lock);
  r = reserve(size, 0, true, out);
  if (!r && (r = map(*out, m, 3, true))) unreserve(*out, size, true);
  space_unlock();
  memory_unref(m);
  return r;
}

CUresult space_free(CUdeviceptr at) {
  pthread_rwlock_wrlock(&lock);
  size_t i = first(at);
  bool fine = i < count && mappings[i].at == at && mappings[i].plain;
  if (fine) {
    uint64_t size = mappings[i].size;
    unmap(i, i + 1);
    unreserve(at, size, true);
  }
  space_unlock();
  return fine ? SUCCESS : INVALID_VALUE;
}

// space_free_all frees all that space_alloc gave of a device, and returns how many.
int space_free_all(int device) {
  int freed = 0;
  pthread_rwlock_wrlock(&lock);
  for (size_t i = 0; i < count;) {
    if (!mappings[i].plain || mappings[i].memory->device != device) {
      i++;
      continue;
    }
    CUdeviceptr at = mappings[i].at;
    uint64_t size = mappings[i].size;
    unmap(i, i + 1);
    unreserve(at, size, true);
    freed++;
  }
  space_unlock();
  return freed;
}

CUresult space_range(CUdeviceptr at, CUdeviceptr *base, uint64_t *size, int *device) {
  space_read_lock();
  struct mapping *m = space_at(at);
  if (m) {
    *base = m->at;
    *size = m->size;
    *device = m->memory->device;
  }
  space_unlock();
  return m ? SUCCESS : INVALID_VALUE;
}
