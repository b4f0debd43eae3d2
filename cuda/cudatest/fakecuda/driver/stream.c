// stream.c: streams, each a thread with a queue, and events. All of their state is
// under one lock, with one condition for whoever waits.
//
// Work in a stream is done in order, and in no order with other streams, but for
// events and for the legacy stream (handle 0 or 1): its work comes after all that was
// given before to streams of its context that were not made with NON_BLOCKING, and
// before all that they are given later. With FAKECUDA_LAZY a stream begins only when
// somebody waits for any, so that a wait that was left out is seen every time.
#include <signal.h>
#include <time.h>

#include "fake.h"

struct stream {
  struct context *context;
  bool blocking, ending;
  uint64_t pushed, done, allowed;
  struct op *head, *tail, *running;
  struct stream *next;
};

struct event {
  struct context *context;
  bool timed;
  int refs;
  struct stream *stream; // of the last record
  uint64_t seq, records, done;
  struct timespec at;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static struct stream *streams; // all that are not ended; the structures stay, as others point to them

static bool may_run(struct stream *s) {
  if (!s->head || (state->lazy && s->head->seq > s->allowed)) return false;
  for (int i = 0; i < s->head->after_count; i++)
    if (s->head->after[i].stream->done < s->head->after[i].seq) return false;
  return true;
}

static void event_unref(struct event *e) {
  if (--e->refs == 0) free(e);
}

static void *serve(void *argument) {
  struct stream *s = argument;
  pthread_mutex_lock(&lock);
  while (s->head || !s->ending) {
    if (!may_run(s)) {
      pthread_cond_wait(&moved, &lock);
      continue;
    }
    struct op *o = s->running = s->head;
    s->head = o->next;
    if (!s->head) s->tail = NULL;
    pthread_mutex_unlock(&lock);
    work_run(o);
    pthread_mutex_lock(&lock);
    s->running = NULL;
    s->done = o->seq;
    if (o->event) event_unref(o->event);
    work_free(o);
    pthread_cond_broadcast(&moved);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static struct stream *stream_new(struct context *c, bool blocking) {
  struct stream *s = calloc(1, sizeof *s);
  s->context = c;
  s->blocking = blocking;
  sigset_t all, before; // signals of the process are none of this thread's business
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  int failed = pthread_create(&thread, NULL, serve, s);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed) {
    free(s);
    return NULL;
  }
  pthread_detach(thread);
  pthread_mutex_lock(&lock);
  s->next = streams;
  streams = s;
  pthread_mutex_unlock(&lock);
  return s;
}

static struct stream *legacy(struct context *c) {
  static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&making);
  if (!c->legacy) c->legacy = stream_new(c, false);
  pthread_mutex_unlock(&making);
  return c->legacy;
}

CUresult stream_get(uint64_t handle, struct stream **out) {
  struct context *c = context_current();
  struct stream *s = handle <= 1 ? legacy(c) : object_get(KIND_STREAM, handle);
  if (!s || s->context != c) return INVALID_HANDLE;
  *out = s;
  return SUCCESS;
}

static void depend(struct op *o, struct stream *on, uint64_t seq) {
  if (on->done >= seq) return;
  o->after = realloc(o->after, sizeof *o->after * (o->after_count + 1));
  o->after[o->after_count++] = (struct dependency){on, seq};
}

static void put(struct stream *s, struct op *o) {
  if (s == s->context->legacy) {
    for (struct stream *b = streams; b; b = b->next)
      if (b->context == s->context && b->blocking) depend(o, b, b->pushed);
  } else if (s->blocking && s->context->legacy) {
    depend(o, s->context->legacy, s->context->legacy->pushed);
  }
  o->seq = ++s->pushed;
  if (s->tail)
    s->tail->next = o;
  else
    s->head = o;
  s->tail = o;
  pthread_cond_broadcast(&moved);
}

CUresult stream_push(struct stream *s, struct op *o) {
  o->device = s->context->device;
  pthread_mutex_lock(&lock);
  bool late = s->ending;
  if (!late) put(s, o);
  pthread_mutex_unlock(&lock);
  if (late) work_free(o);
  return late ? INVALID_HANDLE : SUCCESS;
}

static void allow_all(void) {
  for (struct stream *s = streams; s; s = s->next) s->allowed = s->pushed;
  pthread_cond_broadcast(&moved);
}

static void wait_until(struct stream *s, uint64_t seq) {
  allow_all();
  while (s->done < seq) pthread_cond_wait(&moved, &lock);
}

CUresult stream_wait(struct stream *s) {
  pthread_mutex_lock(&lock);
  wait_until(s, s->pushed);
  pthread_mutex_unlock(&lock);
  return sticky();
}

CUresult stream_wait_context(struct context *c) {
  pthread_mutex_lock(&lock);
  allow_all();
  for (struct stream *s = streams; s;) {
    bool busy = s->context == c && s->done < s->pushed;
    if (busy) pthread_cond_wait(&moved, &lock);
    s = busy ? streams : s->next;
  }
  pthread_mutex_unlock(&lock);
  return sticky();
}

static bool overlaps(uint64_t a, uint64_t n, uint64_t b, uint64_t m) { return a < b + m && b < a + n; }

static bool uses(const struct op *o, uint64_t at, uint64_t n) {
  if (o->work == WORK_COPY && !o->staged && overlaps(o->from, o->n, at, n)) return true;
  if (o->work == WORK_COPY || o->work == WORK_SET) return overlaps(o->to, o->n, at, n);
  for (int i = 0; o->launch && i < o->launch->range_count; i++)
    if (overlaps(o->launch->ranges[i].at, o->launch->ranges[i].n, at, n)) return true;
  return false;
}

bool stream_touches(uint64_t at, uint64_t n) {
  bool found = false;
  pthread_mutex_lock(&lock);
  for (struct stream *s = streams; s && !found; s = s->next) {
    found = s->running && uses(s->running, at, n);
    for (struct op *o = s->head; o && !found; o = o->next) found = uses(o, at, n);
  }
  pthread_mutex_unlock(&lock);
  return found;
}

// end lets a stream finish what it has, and go. With the lock held.
static void end(struct stream *s) {
  s->ending = true;
  s->allowed = s->pushed;
  for (struct stream **at = &streams; *at; at = &(*at)->next)
    if (*at == s) {
      *at = s->next;
      break;
    }
  pthread_cond_broadcast(&moved);
}

static void end_stream(void *stream) {
  pthread_mutex_lock(&lock);
  end(stream);
  pthread_mutex_unlock(&lock);
  live(STREAMS, -1);
}

static void end_event(void *event) {
  pthread_mutex_lock(&lock);
  event_unref(event);
  pthread_mutex_unlock(&lock);
  live(EVENTS, -1);
}

// stream_end_context ends all streams and events of a context, when their work is done.
void stream_end_context(struct context *c) {
  stream_wait_context(c);
  object_end(KIND_STREAM, c, end_stream);
  object_end(KIND_EVENT, c, end_event);
  pthread_mutex_lock(&lock);
  if (c->legacy) end(c->legacy);
  pthread_mutex_unlock(&lock);
}

static CUresult create(uint64_t *out, unsigned flags) {
  if (!out || flags & ~1u) return INVALID_VALUE;
  struct stream *s = stream_new(context_current(), !(flags & 1));
  if (!s) return OUT_OF_MEMORY;
  *out = object_add(KIND_STREAM, s);
  live(STREAMS, 1);
  return SUCCESS;
}

API CUresult cuStreamCreate(uint64_t *out, unsigned flags) {
  ENTER(cuStreamCreate);
  return create(out, flags);
}

API CUresult cuStreamCreateWithPriority(uint64_t *out, unsigned flags, int priority) {
  ENTER(cuStreamCreateWithPriority);
  (void)priority;
  return create(out, flags);
}

API CUresult cuStreamDestroy_v2(uint64_t handle) {
  ENTER(cuStreamDestroy_v2);
  struct stream *s;
  if (handle <= 1 || stream_get(handle, &s) || !object_remove(KIND_STREAM, handle)) return INVALID_HANDLE;
  end_stream(s);
  return SUCCESS;
}

API CUresult cuStreamSynchronize(uint64_t handle) {
  ENTER(cuStreamSynchronize);
  struct stream *s;
  CUresult r = stream_get(handle, &s);
  return r ? r : stream_wait(s);
}

API CUresult cuStreamQuery(uint64_t handle) {
  ENTER(cuStreamQuery);
  struct stream *s;
  CUresult r = stream_get(handle, &s);
  if (r) return r;
  pthread_mutex_lock(&lock);
  allow_all();
  bool busy = s->done < s->pushed;
  pthread_mutex_unlock(&lock);
  return sticky() ? sticky() : busy ? NOT_READY : SUCCESS;
}

// held finds an event and holds it.
static struct event *held(uint64_t handle) {
  pthread_mutex_lock(&lock);
  struct event *e = object_get(KIND_EVENT, handle);
  if (e && e->context != context_current()) e = NULL;
  if (e) e->refs++;
  pthread_mutex_unlock(&lock);
  return e;
}

static void let_go(struct event *e) {
  pthread_mutex_lock(&lock);
  event_unref(e);
  pthread_mutex_unlock(&lock);
}

API CUresult cuEventCreate(uint64_t *out, unsigned flags) {
  ENTER(cuEventCreate);
  if (!out || flags & ~7u || (flags & 6) == 4) return INVALID_VALUE; // INTERPROCESS goes with DISABLE_TIMING
  struct event *e = calloc(1, sizeof *e);
  e->context = context_current();
  e->timed = !(flags & 2);
  e->refs = 1;
  *out = object_add(KIND_EVENT, e);
  live(EVENTS, 1);
  return SUCCESS;
}

API CUresult cuEventDestroy_v2(uint64_t handle) {
  ENTER(cuEventDestroy_v2);
  pthread_mutex_lock(&lock);
  struct event *e = object_remove(KIND_EVENT, handle);
  if (e) event_unref(e);
  pthread_mutex_unlock(&lock);
  if (e) live(EVENTS, -1);
  return e ? SUCCESS : INVALID_HANDLE;
}

API CUresult cuEventRecord(uint64_t handle, uint64_t on) {
  ENTER(cuEventRecord);
  struct stream *s;
  CUresult r = stream_get(on, &s);
  if (r) return r;
  struct event *e = held(handle);
  if (!e) return INVALID_HANDLE;
  struct op *o = calloc(1, sizeof *o);
  o->work = WORK_RECORD;
  o->event = e;
  pthread_mutex_lock(&lock);
  o->record = ++e->records;
  put(s, o);
  e->stream = s;
  e->seq = o->seq;
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}

void work_event(struct event *e, uint64_t record) {
  pthread_mutex_lock(&lock);
  e->done = record;
  clock_gettime(CLOCK_MONOTONIC, &e->at);
  pthread_mutex_unlock(&lock);
}

API CUresult cuEventQuery(uint64_t handle) {
  ENTER(cuEventQuery);
  struct event *e = held(handle);
  if (!e) return INVALID_HANDLE;
  pthread_mutex_lock(&lock);
  allow_all();
  bool busy = e->stream && e->stream->done < e->seq;
  event_unref(e);
  pthread_mutex_unlock(&lock);
  return sticky() ? sticky() : busy ? NOT_READY : SUCCESS;
}

API CUresult cuEventSynchronize(uint64_t handle) {
  ENTER(cuEventSynchronize);
  struct event *e = held(handle);
  if (!e) return INVALID_HANDLE;
  pthread_mutex_lock(&lock);
  if (e->stream) wait_until(e->stream, e->seq);
  event_unref(e);
  pthread_mutex_unlock(&lock);
  return sticky();
}

API CUresult cuEventElapsedTime(float *ms, uint64_t from, uint64_t to) {
  ENTER(cuEventElapsedTime);
  struct event *a = held(from), *b = held(to);
  CUresult r = !ms ? INVALID_VALUE : !a || !b || !a->timed || !b->timed || !a->records || !b->records ? INVALID_HANDLE : SUCCESS;
  pthread_mutex_lock(&lock);
  if (!r && (a->done < a->records || b->done < b->records)) r = NOT_READY;
  if (!r) *ms = (b->at.tv_sec - a->at.tv_sec) * 1e3f + (b->at.tv_nsec - a->at.tv_nsec) * 1e-6f;
  pthread_mutex_unlock(&lock);
  if (a) let_go(a);
  if (b) let_go(b);
  return r;
}

API CUresult cuStreamWaitEvent(uint64_t on, uint64_t handle, unsigned flags) {
  ENTER(cuStreamWaitEvent);
  struct stream *s;
  CUresult r = flags & ~1u ? INVALID_VALUE : stream_get(on, &s);
  if (r) return r;
  struct event *e = held(handle);
  if (!e) return INVALID_HANDLE;
  struct op *o = calloc(1, sizeof *o);
  o->work = WORK_WAIT;
  pthread_mutex_lock(&lock);
  if (e->stream) depend(o, e->stream, e->seq);
  put(s, o);
  event_unref(e);
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
