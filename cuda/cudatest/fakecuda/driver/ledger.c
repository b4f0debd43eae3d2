// ledger.c: how much of each device's memory is taken, over all processes.
//
// A piece of memory is a memfd with a lock on it that belongs to the open file, not
// to a process (F_OFD_SETLK). Handles, exported descriptors, descriptors on their way
// through a socket and mappings all hold that one open file, so the lock is there
// exactly as long as anything holds the memory, whatever became of processes. The
// kernel lists such locks in /proc/locks.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fake.h"

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static char *read_locks(void) {
  int fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  size_t size = 1 << 16, n = 0;
  char *text = malloc(size);
  for (ssize_t got; (got = read(fd, text + n, size - n - 1)) > 0;) {
    n += got;
    if (size - n < 8192) text = realloc(text, size *= 2);
  }
  close(fd);
  text[n] = 0;
  return text;
}

// locked lists the memfds that have a lock of an open file.
static uint64_t *locked(size_t *count) {
  char *text = read_locks();
  if (!text) violation("/proc/locks cannot be read, and memory not be accounted for: %s", strerror(errno));
  uint64_t *inodes = malloc(sizeof *inodes * (1 + strlen(text) / 16));
  *count = 0;
  for (char *line = text, *end; *line; line = end) {
    end = strchr(line, '\n');
    end = end ? end + 1 : line + strlen(line);
    unsigned major, minor;
    unsigned long long inode;
    char kind[16];
    if (sscanf(line, "%*d: %15s %*s %*s %*d %x:%x:%llu", kind, &major, &minor, &inode) != 4 || strcmp(kind, "OFDLCK")) continue;
    if (makedev(major, minor) == state->filesystem) inodes[(*count)++] = inode;
  }
  free(text);
  qsort(inodes, *count, sizeof *inodes, by_number);
  return inodes;
}

// prune drops what nobody holds any more. /proc/locks is not read at one moment if it
// is long: a lock that goes away may hide another. So a piece counts as gone only if
// three readings miss it.
static void prune(void) {
  static unsigned char missed[STATE_ALLOCATIONS];
  memset(missed, 0, sizeof missed);
  for (int pass = 1; pass <= 3; pass++) {
    bool any = false;
    size_t count;
    uint64_t *inodes = locked(&count);
    for (int i = 0; i < STATE_ALLOCATIONS; i++) {
      struct allocation *a = &state->allocations[i];
      if (!a->inode || missed[i] != pass - 1 || bsearch(&a->inode, inodes, count, sizeof *inodes, by_number)) continue;
      any = true;
      missed[i] = pass;
      if (pass == 3) a->inode = 0;
    }
    free(inodes);
    if (!any) return;
  }
}

static uint64_t sum(int device) {
  uint64_t used = 0;
  for (int i = 0; i < STATE_ALLOCATIONS; i++)
    if (state->allocations[i].inode && state->allocations[i].device == (uint64_t)device) used += state->allocations[i].size;
  return used;
}

static struct allocation *free_place(void) {
  for (int i = 0; i < STATE_ALLOCATIONS; i++)
    if (!state->allocations[i].inode) return &state->allocations[i];
  return NULL;
}

static CUresult charge(int device, uint64_t size, int fd) {
  if (sum(device) + size > state->memory || !free_place()) prune();
  struct allocation *a = free_place();
  if (size > state->memory || sum(device) > state->memory - size || !a) return OUT_OF_MEMORY;
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  struct stat st;
  if (fcntl(fd, F_OFD_SETLK, &whole) || fstat(fd, &st)) violation("lock of a memfd: %s", strerror(errno));
  a->size = size;
  a->device = device;
  state->filesystem = st.st_dev;
  a->inode = st.st_ino;
  return SUCCESS;
}

// ledger_charge takes size bytes of a device for as long as fd's open file is held.
CUresult ledger_charge(int device, uint64_t size, int fd) {
  state_lock();
  CUresult r = charge(device, size, fd);
  state_unlock();
  return r;
}

uint64_t ledger_used(int device) {
  state_lock();
  prune();
  uint64_t used = sum(device);
  state_unlock();
  return used;
}
