// fake.h: what the files of the fake driver share.
#ifndef INGOT_FAKE_H
#define INGOT_FAKE_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;

enum {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_CONTEXT = 201,
  ECC_UNCORRECTABLE = 214,
  PEER_ACCESS_UNSUPPORTED = 217,
  INVALID_PTX = 218,
  UNSUPPORTED_PTX_VERSION = 222,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  LAUNCH_TIMEOUT = 702,
  CONTEXT_IS_DESTROYED = 709,
  HOST_ALREADY_REGISTERED = 712,
  HOST_NOT_REGISTERED = 713,
  HARDWARE_STACK_ERROR = 714,
  MISALIGNED_ADDRESS = 716,
  INVALID_PC = 718,
  LAUNCH_FAILED = 719,
  NOT_PERMITTED = 800,
  NOT_SUPPORTED = 801,
};

enum { FREE, INIT, DEVICE, CONTEXT }; // what a call needs

enum call {
#define CALL(name, needs) CALL_##name,
#include "calls.h"
#undef CALL
  CALLS
};

#define API __attribute__((visibility("default")))
// ENTER is the first line of every function of the driver: it counts the call, lets
// a fault happen and refuses what the thread may not do.
#define ENTER(name)                       \
  do {                                    \
    CUresult refused = enter(CALL_##name); \
    if (refused) return refused;          \
  } while (0)

#define GRANULARITY (2ull << 20)
#define PAGE 4096ull
#define POISON 0xA5
#define MAX_DEVICES 16
#define SYSTEM_DEVICES 16

// ---- the state that all processes share; state.go of the Go side has the same layout

enum { H2D, D2H, D2D, SET, KINDS };
enum { CONTEXTS, HANDLES, MAPPINGS, RESERVATIONS, STREAMS, EVENTS, MODULES, REGISTRATIONS, ALLOCATIONS, WRITABLE, PIECES, LIVE };

#define STATE_MAGIC 0x3161646375656b66ull
#define STATE_SPEC 2048
#define STATE_FAULTS 64
#define STATE_CALLS 256
#define STATE_PROCESSES 1024
#define STATE_ALLOCATIONS 16384

struct fault {
  _Atomic uint64_t seen;
  uint64_t nth;
  int32_t call; // a call, or one of FAULT_
  int32_t code; // a result, or one of DO_
  int32_t onward;
  char role[36];
};
enum { FAULT_ANY = -1, FAULT_WORK = -2 };
enum { DO_KILL = -1, DO_HANG = -2, DO_CORRUPT = -3 };

struct process {
  _Atomic uint64_t pid; // 0: free
  uint64_t started;     // field 22 of /proc/pid/stat, since pids come again
  char role[32];
  _Atomic uint64_t sticky;
  _Atomic uint64_t violations;
  _Atomic uint64_t calls; // of functions that can fail
  _Atomic int64_t live[LIVE];
  _Atomic int64_t registered[MAX_DEVICES]; // bytes
};

struct allocation { // a piece of a device's memory: a memfd that somebody holds
  uint64_t inode;   // 0: free
  uint64_t size;
  uint64_t device;
};

struct state {
  uint64_t magic, size;
  uint64_t devices, memory, context; // memory of each, and what a context takes of it
  uint64_t filesystem;               // where memfds are, as a device number; 0 until there is one
  uint64_t read_only_register, lazy, version;
  double gbps;
  _Atomic uint64_t spec_generation, parsed_generation, faults_used;
  _Atomic uint64_t total, violations;
  _Atomic uint64_t copies[KINDS], bytes[KINDS];
  char spec[STATE_SPEC];
  struct fault faults[STATE_FAULTS];
  _Atomic uint64_t calls[STATE_CALLS];
  struct process processes[STATE_PROCESSES];
  struct allocation allocations[STATE_ALLOCATIONS];
};

extern struct state *state;
extern struct process *self;

// state.c
void state_attach(void);
void state_lock(void);
void state_unlock(void);
void state_moved(void); // cuInit: follows FAKECUDA_STATE to another file
static inline void live(int what, int64_t by) { atomic_fetch_add(&self->live[what], by); }

// ledger.c
CUresult ledger_charge(int device, uint64_t size, int fd);
uint64_t ledger_used(int device);

// fault.c
CUresult enter(enum call c);
CUresult stick(CUresult code);
CUresult sticky(void);
bool work_fault(void); // a piece of a stream's work begins; true: it shall write a wrong byte
extern __thread bool in_callback; // no function may be called then
void fault_refresh(void);
bool is_sticky(CUresult code);
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void violation(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

// object.c: handles that a client holds are numbers, never addresses, and are not
// given twice
enum kind { KIND_CONTEXT = 1, KIND_MEMORY, KIND_STREAM, KIND_EVENT, KIND_MODULE, KIND_FUNCTION };
uint64_t object_add(enum kind kind, void *object);
void *object_get(enum kind kind, uint64_t id);
void *object_remove(enum kind kind, uint64_t id);
struct context;
// object_end removes all of a kind that live in a context, which is their first
// member, and has end take each.
void object_end(enum kind kind, struct context *c, void (*end)(void *));

// device.c
struct context {
  uint64_t id;
  int device; // of the machine, not as this process counts
  int uses;
  int fd; // memory that the context itself takes
  unsigned flags;
  struct stream *legacy;
};
extern int device_count;
int device_global(CUdevice d); // -1: no such device
CUdevice device_local(int global);
struct context *context_current(void);
CUresult context_check(void);
bool device_ready(void);

// memory.c, space.c
struct memory { // what a handle stands for; freed with the last handle or mapping
  int fd;
  int device;
  int refs;
  bool exportable;
  uint64_t size;
};
struct mapping {
  CUdeviceptr at;
  uint64_t size;
  struct memory *memory;
  int access; // 0 none, 1 read, 3 read and write
  bool plain; // of cuMemAlloc
};
typedef struct {
  int type, id;
} Location;
typedef struct {
  unsigned type, handle_types;
  Location location;
  void *win32;
  unsigned char compression, rdma;
  unsigned short usage;
  unsigned char reserved[4];
} Properties;
typedef struct {
  Location location;
  int flags;
} Access;
_Static_assert(sizeof(Properties) == 32 && sizeof(Access) == 12, "layout of the driver");

CUresult memory_new(int device, uint64_t size, bool exportable, struct memory **out);
struct memory *memory_get(uint64_t handle); // held; NULL if there is none
void memory_unref(struct memory *m);
void memory_ref(struct memory *m);
void space_read_lock(void);
void space_unlock(void);
struct mapping *space_at(CUdeviceptr at);                          // with a lock held
CUresult space_check(CUdeviceptr at, uint64_t n, int access, int device); // with a lock held
bool space_is_device(CUdeviceptr at);
CUresult space_alloc(int device, uint64_t size, CUdeviceptr *out);
CUresult space_free(CUdeviceptr at);
int space_free_all(int device);
CUresult space_range(CUdeviceptr at, CUdeviceptr *base, uint64_t *size, int *device);

// host.c
enum host { HOST_PAGEABLE, HOST_PINNED, HOST_STRADDLES };
enum host host_kind(const void *p, uint64_t n, bool *read_only);
bool host_range(const void *p, CUdeviceptr *base, uint64_t *size);
void host_verify(const void *p, uint64_t n); // aborts if registered pages were replaced
void host_forget(struct context *c);

// stream.c
struct stream;
struct event;
struct launch;
enum work { WORK_COPY, WORK_SET, WORK_RECORD, WORK_WAIT, WORK_CALL, WORK_LAUNCH };
struct op {
  enum work work;
  int kind;   // of a copy
  bool pinned; // the host side is registered memory
  int device;
  uint64_t to, from, n;
  unsigned char value;
  void *staged;
  struct event *event;
  uint64_t record;
  void (*call)(void *);
  void *argument;
  struct launch *launch;
  struct dependency {
    struct stream *stream;
    uint64_t seq;
  } *after;
  int after_count;
  uint64_t seq;
  struct op *next;
};
CUresult stream_get(uint64_t handle, struct stream **out);
CUresult stream_push(struct stream *s, struct op *o);
CUresult stream_wait(struct stream *s);
CUresult stream_wait_context(struct context *c);
void stream_end_context(struct context *c);
void module_end_context(struct context *c);
bool stream_touches(uint64_t at, uint64_t n); // work that is not done uses this memory

// work.c
void work_run(struct op *o);
void work_free(struct op *o);
void work_event(struct event *e, uint64_t record);

// module.c, kernels.c
struct range { // memory of a device that a kernel uses
  uint64_t at, n;
  int access;
};
struct launch {
  const struct twin *twin;
  uint64_t threads;
  unsigned block;
  uint64_t arguments[8];
  struct range ranges[4];
  int range_count;
};
const struct twin *twin_find(const char *name, int *arguments);
CUresult twin_prepare(struct launch *l); // fills in ranges
void twin_run(struct launch *l);

#endif
