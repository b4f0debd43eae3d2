// host.c: memory of the host that is pinned for a device.
//
// A real driver pins pages, and its copies read those pages ever after. If a page is
// given back under a registration (a hole punched, an unmapping) and there is another
// one now, the copy delivers what the old page holds. Here a copy reads through the
// mapping and would see the new page, so it looks first: registering brings every page
// into the page table, and a page that is no longer there has been replaced. The copy
// then ends the process with a message rather than to deliver bytes no GPU would see.
// So does unregistering: what was given back before that stayed taken in truth.
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fake.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

struct registration {
  uint64_t at, size;
  struct context *context;
  bool read_only, allocated;
  struct registration *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registration *registrations;
static int pagemap = -2;

enum host host_kind(const void *p, uint64_t n, bool *read_only) {
  uint64_t at = (uint64_t)p, end = at + n;
  enum host kind = HOST_PAGEABLE;
  pthread_mutex_lock(&lock);
  for (struct registration *r = registrations; r && kind == HOST_PAGEABLE; r = r->next) {
    if (end <= r->at || at >= r->at + r->size) continue;
    kind = at >= r->at && end <= r->at + r->size ? HOST_PINNED : HOST_STRADDLES;
    if (read_only) *read_only = r->read_only;
  }
  pthread_mutex_unlock(&lock);
  return kind;
}

bool host_range(const void *p, CUdeviceptr *base, uint64_t *size) {
  pthread_mutex_lock(&lock);
  struct registration *r = registrations;
  while (r && ((uint64_t)p < r->at || (uint64_t)p >= r->at + r->size)) r = r->next;
  if (r) *base = r->at, *size = r->size;
  pthread_mutex_unlock(&lock);
  return r != NULL;
}

// number reads the number after a word of a file; 0 if there is none.
static unsigned long long number(const char *path, const char *word) {
  FILE *f = fopen(path, "re");
  char line[256];
  unsigned long long n = 0;
  while (f && fgets(line, sizeof line, f))
    if (!strncmp(line, word, strlen(word))) n = strtoull(line + strlen(word), NULL, 10);
  if (f) fclose(f);
  return n;
}

// others_take_pages tells that this machine takes pages of shared memory out of page
// tables by itself: to swap, or to put huge pages together. It spares pages that are
// really pinned, but not ours.
static bool others_take_pages(void) {
  FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "re");
  char line[256] = "";
  if (f && !fgets(line, sizeof line, f)) *line = 0;
  if (f) fclose(f);
  bool huge = *line && !strstr(line, "[never]") && !strstr(line, "[deny]");
  return huge || number("/proc/vmstat", "pswpout ");
}

// replaced tells whether a page that is not in the page table is another one now.
// Where pages leave it for other reasons too, only a page that is nowhere counts.
static bool replaced(uint64_t page) {
  if (!others_take_pages()) return true;
  unsigned char resident = 0;
  bool unmapped = mincore((void *)(page * PAGE), PAGE, &resident) != 0;
  return unmapped || (!(resident & 1) && !number("/proc/vmstat", "pswpout "));
}

// host_verify looks into the page table: bit 63 is a page that is there, 62 one that
// was swapped out or is on the move, which is the same page.
void host_verify(const void *p, uint64_t n) {
  if (pagemap < 0) return;
  uint64_t entries[4096], page = (uint64_t)p / PAGE, end = ((uint64_t)p + n + PAGE - 1) / PAGE;
  while (page < end) {
    uint64_t want = end - page < 4096 ? end - page : 4096;
    ssize_t got = pread(pagemap, entries, want * 8, page * 8);
    if (got <= 0) return;
    for (ssize_t i = 0; i < got / 8; i++)
      if (!(entries[i] >> 62) && replaced(page + i))
        violation("the registered page at %#llx was given back (a hole punched, or unmapped) before cuMemHostUnregister",
                  (unsigned long long)(page + i) * PAGE);
    page += got / 8;
  }
}

// on_disk tells that a range is a shared mapping of a file that is no memory: such
// pages cannot be pinned for long.
static bool on_disk(uint64_t at, uint64_t size) {
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[4608], path[4096];
  bool found = false;
  while (maps && !found && fgets(line, sizeof line, maps)) {
    unsigned long long from, to;
    char flags[8];
    struct statfs fs;
    *path = 0;
    if (sscanf(line, "%llx-%llx %7s %*s %*s %*s %4095[^\n]", &from, &to, flags, path) < 3) continue;
    if (to <= at || from >= at + size || flags[3] != 's' || *path != '/') continue;
    if (statfs(path, &fs)) continue; // /memfd:, /dev/zero (deleted)
    found = fs.f_type != 0x01021994 && fs.f_type != 0x958458f6 && fs.f_type != 0x858458f6; // tmpfs, hugetlbfs, ramfs
  }
  if (maps) fclose(maps);
  return found;
}

static CUresult populate(void *p, uint64_t n, bool read_only) {
  while (madvise(p, n, read_only ? MADV_POPULATE_READ : MADV_POPULATE_WRITE)) {
    if (errno == EINTR || errno == EAGAIN) continue;
    return INVALID_VALUE; // a part is not mapped, or not writable
  }
  return SUCCESS;
}

static void count(struct registration *r, int by) {
  live(REGISTRATIONS, by);
  atomic_fetch_add(&self->registered[r->context->device], by * (int64_t)r->size);
}

static CUresult add(void *p, uint64_t n, bool read_only, bool allocated) {
  pthread_mutex_lock(&lock);
  if (pagemap == -2) pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  for (struct registration *r = registrations; r; r = r->next) {
    if ((uint64_t)p + n <= r->at || (uint64_t)p >= r->at + r->size) continue;
    pthread_mutex_unlock(&lock);
    return HOST_ALREADY_REGISTERED;
  }
  struct registration *r = calloc(1, sizeof *r);
  *r = (struct registration){(uint64_t)p, n, context_current(), read_only, allocated, registrations};
  registrations = r;
  count(r, 1);
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

static CUresult take_out(void *p, bool allocated, uint64_t *size) {
  pthread_mutex_lock(&lock);
  struct registration **r = &registrations;
  while (*r && ((*r)->at != (uint64_t)p || (*r)->allocated != allocated)) r = &(*r)->next;
  struct registration *gone = *r;
  if (gone) {
    *r = gone->next;
    *size = gone->size;
    count(gone, -1);
  }
  pthread_mutex_unlock(&lock);
  free(gone);
  return gone ? SUCCESS : HOST_NOT_REGISTERED;
}

void host_forget(struct context *c) {
  pthread_mutex_lock(&lock);
  for (struct registration **at = &registrations; *at;) {
    struct registration *r = *at;
    if (r->context != c) {
      at = &r->next;
      continue;
    }
    *at = r->next;
    count(r, -1);
    if (r->allocated) munmap((void *)r->at, r->size);
    free(r);
  }
  pthread_mutex_unlock(&lock);
}

API CUresult cuMemHostRegister_v2(void *p, size_t n, unsigned flags) {
  ENTER(cuMemHostRegister_v2);
  bool read_only = flags & 8;
  if (!p || !n || flags & ~0xfu || (uint64_t)p % PAGE || n % PAGE || (uint64_t)p + n < (uint64_t)p) return INVALID_VALUE;
  if (flags & 4) return NOT_SUPPORTED; // memory of a device
  if (read_only && !state->read_only_register) return NOT_SUPPORTED;
  if (n >= 512ull << 30) return OUT_OF_MEMORY; // the table of one call is limited
  if (space_is_device((uint64_t)p) || on_disk((uint64_t)p, n)) return INVALID_VALUE;
  if (host_kind(p, n, NULL) != HOST_PAGEABLE) return HOST_ALREADY_REGISTERED;
  CUresult r = populate(p, n, read_only);
  return r ? r : add(p, n, read_only, false);
}

API CUresult cuMemHostUnregister(void *p) {
  ENTER(cuMemHostUnregister);
  CUdeviceptr base;
  uint64_t size = 0;
  if (host_range(p, &base, &size) && base == (uint64_t)p && stream_touches(base, size)) {
    complain("cuMemHostUnregister of %p while work that uses it is not done", p);
    return stick(ILLEGAL_ADDRESS);
  }
  if (size && base == (uint64_t)p) host_verify(p, size); // memory that went before would not have come free
  return take_out(p, false, &size);
}

API CUresult cuMemHostAlloc(void **out, size_t n, unsigned flags) {
  ENTER(cuMemHostAlloc);
  if (!out || !n || flags & ~7u) return INVALID_VALUE;
  n = (n + PAGE - 1) / PAGE * PAGE;
  void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return OUT_OF_MEMORY;
  memset(p, POISON, n);
  *out = p;
  return add(p, n, false, true);
}

API CUresult cuMemFreeHost(void *p) {
  ENTER(cuMemFreeHost);
  uint64_t size;
  stream_wait_context(context_current());
  if (take_out(p, true, &size)) return INVALID_VALUE;
  munmap(p, size);
  return SUCCESS;
}
