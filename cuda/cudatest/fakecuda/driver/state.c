// state.c: the file that all processes of a test share, mapped into each of them.
// Counters in it are atomic; what must be changed together is changed under a lock of
// the file, which the kernel drops with a process that dies.
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

struct state *state;
struct process *self;

static pthread_mutex_t attach_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;
static int state_fd = -1;
static char state_path[4096];

static uint64_t env_number(const char *name, uint64_t otherwise) {
  const char *s = getenv(name);
  return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

void state_lock(void) {
  pthread_mutex_lock(&file_lock);
  while (state_fd >= 0 && flock(state_fd, LOCK_EX) && errno == EINTR) {
  }
}

void state_unlock(void) {
  if (state_fd >= 0) flock(state_fd, LOCK_UN);
  pthread_mutex_unlock(&file_lock);
}

// fill gives an empty state what the environment says.
static void fill(struct state *s) {
  s->size = sizeof *s;
  s->devices = env_number("FAKECUDA_DEVICES", 1);
  s->memory = env_number("FAKECUDA_MEM", 1ull << 30);
  s->context = env_number("FAKECUDA_CONTEXT", 0);
  s->read_only_register = env_number("FAKECUDA_RO_REGISTER", 1);
  s->version = env_number("FAKECUDA_VERSION", 13000);
  s->lazy = env_number("FAKECUDA_LAZY", 0);
  const char *gbps = getenv("FAKECUDA_GBPS"), *fail = getenv("FAKECUDA_FAIL");
  s->gbps = gbps ? atof(gbps) : 0;
  if (fail && strlen(fail) >= STATE_SPEC) violation("FAKECUDA_FAIL is too long");
  if (fail) strcpy(s->spec, fail);
  atomic_store(&s->spec_generation, 1);
  s->magic = STATE_MAGIC;
}

static struct state *map_file(const char *path, int *fd_out) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) violation("open FAKECUDA_STATE %s: %s", path, strerror(errno));
  while (flock(fd, LOCK_EX) && errno == EINTR) {
  }
  struct stat st;
  if (fstat(fd, &st) || (st.st_size < (off_t)sizeof(struct state) && ftruncate(fd, sizeof(struct state))))
    violation("size of %s: %s", path, strerror(errno));
  struct state *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (s == MAP_FAILED) violation("map %s: %s", path, strerror(errno));
  if (!s->magic) fill(s);
  if (s->magic != STATE_MAGIC || s->size != sizeof *s) violation("%s is not a state of this build", path);
  flock(fd, LOCK_UN);
  *fd_out = fd;
  return s;
}

static struct state *map_private(void) {
  struct state *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (s == MAP_FAILED) abort();
  fill(s);
  return s;
}

// started_at reads when a process started; 0 if there is no such process.
static uint64_t started_at(uint64_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return 0;
  text[n] = 0;
  char *p = strrchr(text, ')');
  for (int field = 2; p && field < 22; field++) p = strchr(p + 1, ' ');
  return p ? strtoull(p + 1, NULL, 10) : 0;
}

// find_role says what a process is for: what FAKECUDA_ROLE says, or else the first
// word after the program's name, so that a program and what it starts of itself with
// another word differ.
static void find_role(char *role, size_t size) {
  const char *given = getenv("FAKECUDA_ROLE");
  char text[4096] = "";
  int fd = given ? -1 : open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  size_t first = strlen(text) + 1;
  if (n > (ssize_t)first) given = text + first;
  snprintf(role, size, "%s", given ? given : "");
}

// join takes a place among the processes: a free one, or that of one that is dead.
static struct process *join(void) {
  struct process *place = NULL;
  state_lock();
  for (int i = 0; i < STATE_PROCESSES && !place; i++)
    if (!atomic_load(&state->processes[i].pid)) place = &state->processes[i];
  for (int i = 0; i < STATE_PROCESSES && !place; i++) {
    struct process *p = &state->processes[i];
    if (started_at(atomic_load(&p->pid)) != p->started) place = p;
  }
  if (!place) violation("more than %d processes use one state", STATE_PROCESSES);
  memset(place, 0, sizeof *place);
  find_role(place->role, sizeof place->role);
  place->started = started_at(getpid());
  atomic_store(&place->pid, getpid());
  state_unlock();
  return place;
}

// take makes the state at a path this process's; what it holds goes with it.
static void take(const char *path) {
  struct process *before = self;
  int fd = -1;
  struct state *s = *path ? map_file(path, &fd) : map_private();
  snprintf(state_path, sizeof state_path, "%s", path);
  pthread_mutex_lock(&file_lock);
  state = s;
  int old = state_fd;
  state_fd = fd;
  pthread_mutex_unlock(&file_lock);
  if (old >= 0) close(old);
  struct process *place = join();
  if (before) {
    for (int i = 0; i < LIVE; i++) atomic_store(&place->live[i], atomic_load(&before->live[i]));
    for (int i = 0; i < MAX_DEVICES; i++) atomic_store(&place->registered[i], atomic_load(&before->registered[i]));
    atomic_store(&before->pid, 0);
  }
  self = place;
  fault_refresh();
}

static const char *wanted(void) {
  const char *path = getenv("FAKECUDA_STATE");
  return path ? path : "";
}

void state_attach(void) {
  if (self) return;
  pthread_mutex_lock(&attach_lock);
  if (!self) take(wanted());
  pthread_mutex_unlock(&attach_lock);
}

void state_moved(void) {
  pthread_mutex_lock(&attach_lock);
  if (strcmp(wanted(), state_path)) take(wanted());
  pthread_mutex_unlock(&attach_lock);
}
