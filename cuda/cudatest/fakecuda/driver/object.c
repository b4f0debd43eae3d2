// object.c: handles. A handle is a number that is never given again, so that one used
// after its end, or of another kind, is refused and does not hit something else.
#include "fake.h"

#define BUCKETS 1024

struct object {
  uint64_t id;
  void *value;
  struct object *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *buckets[BUCKETS];
static uint64_t last = 0x1000;

uint64_t object_add(enum kind kind, void *value) {
  struct object *o = calloc(1, sizeof *o);
  o->value = value;
  pthread_mutex_lock(&lock);
  uint64_t number = ++last;
  o->id = (uint64_t)kind << 40 | number;
  o->next = buckets[number % BUCKETS];
  buckets[number % BUCKETS] = o;
  pthread_mutex_unlock(&lock);
  return o->id;
}

static struct object **find(enum kind kind, uint64_t id) {
  struct object **at = &buckets[id % BUCKETS];
  if (id >> 40 != (uint64_t)kind) return NULL;
  while (*at && (*at)->id != id) at = &(*at)->next;
  return *at ? at : NULL;
}

void *object_get(enum kind kind, uint64_t id) {
  pthread_mutex_lock(&lock);
  struct object **at = find(kind, id);
  void *value = at ? (*at)->value : NULL;
  pthread_mutex_unlock(&lock);
  return value;
}

void *object_remove(enum kind kind, uint64_t id) {
  pthread_mutex_lock(&lock);
  struct object **at = find(kind, id), *gone = at ? *at : NULL;
  void *value = gone ? gone->value : NULL;
  if (gone) *at = gone->next;
  pthread_mutex_unlock(&lock);
  free(gone);
  return value;
}

void object_end(enum kind kind, struct context *c, void (*end)(void *)) {
  struct object *gone = NULL;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < BUCKETS; i++)
    for (struct object **at = &buckets[i]; *at;) {
      struct object *o = *at;
      if (o->id >> 40 != (uint64_t)kind || *(struct context **)o->value != c) {
        at = &o->next;
        continue;
      }
      *at = o->next;
      o->next = gone;
      gone = o;
    }
  pthread_mutex_unlock(&lock);
  for (struct object *next; gone; gone = next) {
    next = gone->next;
    end(gone->value);
    free(gone);
  }
}
