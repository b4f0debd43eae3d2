// work.c: copies and fills: what is checked when they are asked for, what when they
// are done.
#include <time.h>

#include "fake.h"

static void throttle(uint64_t n) {
  if (!(state->gbps > 0)) return;
  double s = n / state->gbps / 1e9;
  struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - (time_t)s) * 1e9)};
  nanosleep(&t, NULL);
}

// allowed checks the device side of a piece of work as it is done. By then it must
// still be mapped, and with the access that it needs.
static bool allowed(struct op *o, uint64_t at, int access) {
  CUresult r = space_check(at, o->n, access, o->device);
  if (!r) return true;
  complain("work at %#llx of %llu bytes: %s", (unsigned long long)at, (unsigned long long)o->n,
           r == ILLEGAL_ADDRESS ? "access was not granted" : "not mapped any more");
  stick(ILLEGAL_ADDRESS);
  return false;
}

static void run_copy(struct op *o) {
  throttle(o->n);
  if (o->pinned && !o->staged) host_verify((void *)(o->kind == D2H ? o->to : o->from), o->n);
  space_read_lock();
  bool fine = (o->kind == H2D || allowed(o, o->from, 1)) && (o->kind == D2H || allowed(o, o->to, 2));
  const void *from = o->staged ? o->staged : (const void *)o->from;
  if (fine) memmove((void *)o->to, from, o->n);
  space_unlock();
}

static void run_set(struct op *o) {
  space_read_lock();
  if (allowed(o, o->to, 2)) memset((void *)o->to, o->value, o->n);
  space_unlock();
}

static void run_launch(struct op *o) {
  space_read_lock();
  bool fine = true;
  for (int i = 0; i < o->launch->range_count && fine; i++) {
    struct op view = {.device = o->device, .n = o->launch->ranges[i].n};
    fine = !view.n || allowed(&view, o->launch->ranges[i].at, o->launch->ranges[i].access);
  }
  if (fine) twin_run(o->launch);
  space_unlock();
}

// spoil changes a byte of what a piece of work has written.
static void spoil(const struct op *o) {
  uint64_t at = o->launch ? o->launch->ranges[0].at : o->to + o->n / 2;
  space_read_lock();
  if ((o->work == WORK_COPY && o->kind == D2H) || !space_check(at, 1, 2, o->device)) *(unsigned char *)at ^= 0x10;
  space_unlock();
}

// work_run does a piece of work, unless the context is dead.
void work_run(struct op *o) {
  bool moves = o->work == WORK_COPY || o->work == WORK_SET || o->work == WORK_LAUNCH;
  bool wrong = moves && work_fault();
  if (moves && sticky()) return;
  switch (o->work) {
  case WORK_COPY: run_copy(o); break;
  case WORK_SET: run_set(o); break;
  case WORK_LAUNCH: run_launch(o); break;
  case WORK_RECORD: work_event(o->event, o->record); break;
  case WORK_CALL:
    in_callback = true;
    o->call(o->argument);
    in_callback = false;
    break;
  case WORK_WAIT: break;
  }
  if (wrong) spoil(o);
}

void work_free(struct op *o) {
  free(o->staged);
  free(o->launch);
  free(o->after);
  free(o);
}

static void tally(int kind, uint64_t n) {
  atomic_fetch_add(&state->copies[kind], 1);
  atomic_fetch_add(&state->bytes[kind], n);
}

static CUresult device_side(uint64_t at, uint64_t n, int device) {
  space_read_lock();
  CUresult r = space_check(at, n, 0, device);
  space_unlock();
  return r;
}

// host_side looks at the host's memory of a copy: inside of one registration, or
// outside of all.
static CUresult host_side(struct op *o, const void *p) {
  bool read_only = false;
  enum host kind = host_kind(p, o->n, &read_only);
  if (!p || kind == HOST_STRADDLES || space_is_device((uint64_t)p)) return INVALID_VALUE;
  o->pinned = kind == HOST_PINNED;
  return o->pinned && read_only && o->kind == D2H ? INVALID_VALUE : SUCCESS;
}

// prepare makes the work of a copy, with everything checked. Memory that is not
// registered is read at once: the driver stages it.
static CUresult prepare(int kind, uint64_t to, uint64_t from, uint64_t n, int device, struct op **out) {
  struct op *o = calloc(1, sizeof *o);
  *o = (struct op){.work = WORK_COPY, .kind = kind, .to = to, .from = from, .n = n};
  CUresult r = SUCCESS;
  if (kind != D2H) r = device_side(to, n, device);
  if (!r && kind != H2D) r = device_side(from, n, device);
  if (!r && kind != D2D) r = host_side(o, (void *)(kind == H2D ? from : to));
  if (!r && kind == D2D && from < to + n && to < from + n) r = INVALID_VALUE; // they overlap
  if (!r && kind == H2D && !o->pinned) {
    if ((o->staged = malloc(n)))
      memcpy(o->staged, (void *)from, n);
    else
      r = OUT_OF_MEMORY;
  }
  if (r)
    work_free(o);
  else
    *out = o;
  return r;
}

static CUresult copy(int kind, uint64_t to, uint64_t from, uint64_t n, uint64_t stream, bool wait) {
  struct stream *s;
  struct op *o;
  CUresult r = stream_get(stream, &s);
  if (r || !n) return r;
  if ((r = prepare(kind, to, from, n, context_current()->device, &o))) return r;
  wait = wait || (kind == D2H && !o->pinned);
  tally(kind, n);
  r = stream_push(s, o);
  return r || !wait ? r : stream_wait(s);
}

API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t n) {
  ENTER(cuMemcpyHtoD_v2);
  return copy(H2D, to, (uint64_t)from, n, 0, true);
}

API CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t n) {
  ENTER(cuMemcpyDtoH_v2);
  return copy(D2H, (uint64_t)to, from, n, 0, true);
}

API CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t n) {
  ENTER(cuMemcpyDtoD_v2);
  return copy(D2D, to, from, n, 0, false);
}

API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, uint64_t stream) {
  ENTER(cuMemcpyHtoDAsync_v2);
  return copy(H2D, to, (uint64_t)from, n, stream, false);
}

API CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, uint64_t stream) {
  ENTER(cuMemcpyDtoHAsync_v2);
  return copy(D2H, (uint64_t)to, from, n, stream, false);
}

API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, uint64_t stream) {
  ENTER(cuMemcpyDtoDAsync_v2);
  return copy(D2D, to, from, n, stream, false);
}

typedef struct {
  int order;
  Location from, to;
  unsigned flags;
} Attributes;
_Static_assert(sizeof(Attributes) == 24, "layout of the driver");

static CUresult check_batch(size_t n, const Attributes *a, const size_t *first, size_t attributes) {
  if (!n || !a || !first || !attributes || attributes > n || first[0] != 0) return INVALID_VALUE;
  for (size_t i = 0; i < attributes; i++) {
    if (a[i].order < 1 || a[i].order > 3 || a[i].flags > 1) return INVALID_VALUE;
    if (i && (first[i] <= first[i - 1] || first[i] >= n)) return INVALID_VALUE;
  }
  return SUCCESS;
}

static CUresult prepare_batch(const uint64_t *to, const uint64_t *from, const size_t *sizes, size_t n, struct op **ops) {
  for (size_t i = 0; i < n; i++) {
    bool up = !space_is_device(from[i]), down = !space_is_device(to[i]);
    CUresult r = up && down ? INVALID_VALUE : !sizes[i] ? INVALID_VALUE : SUCCESS;
    if (!r) r = prepare(up ? H2D : down ? D2H : D2D, to[i], from[i], sizes[i], context_current()->device, &ops[i]);
    if (r) return r;
  }
  return SUCCESS;
}

// The copies of a batch have no order among them: they are done last one first.
API CUresult cuMemcpyBatchAsync_v2(uint64_t *to, uint64_t *from, size_t *sizes, size_t n, Attributes *a, size_t *first,
                                   size_t attributes, uint64_t stream) {
  ENTER(cuMemcpyBatchAsync_v2);
  struct stream *s;
  if (stream <= 1 || stream_get(stream, &s)) return INVALID_HANDLE; // not on the legacy stream
  CUresult r = !to || !from || !sizes ? INVALID_VALUE : check_batch(n, a, first, attributes);
  if (r) return r;
  struct op **ops = calloc(n, sizeof *ops);
  r = prepare_batch(to, from, sizes, n, ops);
  for (size_t i = n; i-- > 0;) {
    if (r && ops[i]) work_free(ops[i]);
    if (r || !ops[i]) continue;
    tally(ops[i]->kind, sizes[i]);
    stream_push(s, ops[i]);
  }
  free(ops);
  return r;
}

static CUresult set(CUdeviceptr to, unsigned char value, size_t n, uint64_t stream) {
  struct stream *s;
  CUresult r = stream_get(stream, &s);
  if (r || !n) return r;
  if ((r = device_side(to, n, context_current()->device))) return r;
  struct op *o = calloc(1, sizeof *o);
  *o = (struct op){.work = WORK_SET, .to = to, .n = n, .value = value};
  tally(SET, n);
  return stream_push(s, o);
}

API CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n) {
  ENTER(cuMemsetD8_v2);
  return set(to, value, n, 0);
}

API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, uint64_t stream) {
  ENTER(cuMemsetD8Async);
  return set(to, value, n, stream);
}

API CUresult cuLaunchHostFunc(uint64_t stream, void (*call)(void *), void *argument) {
  ENTER(cuLaunchHostFunc);
  struct stream *s;
  CUresult r = !call ? INVALID_VALUE : stream_get(stream, &s);
  if (r) return r;
  struct op *o = calloc(1, sizeof *o);
  *o = (struct op){.work = WORK_CALL, .call = call, .argument = argument};
  return stream_push(s, o);
}
