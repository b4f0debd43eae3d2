// fault.c: counting, faults to order, and what becomes of a process after an error
// that a context does not survive.
//
// A fault is [@role:]WHAT:N[+]=CODE: the Nth WHAT over all processes (of that role),
// or with + every one from the Nth on. WHAT is a function, or "work", a piece of a
// stream's work as it begins. [@role:]#N[+]=CODE counts all functions together. CODE
// is a result, "kill" (the process dies there), "hang" (the call never returns) or, of
// work, "corrupt" (one byte of what it writes is wrong, and nothing is said).
// Several are parted by commas.
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include "fake.h"

static const char *names[CALLS] = {
#define CALL(name, needs) #name,
#include "calls.h"
#undef CALL
};
static const unsigned char needs[CALLS] = {
#define CALL(name, needs) needs,
#include "calls.h"
#undef CALL
};

__thread bool in_callback;
static _Atomic int stuck;
static _Atomic uint64_t seen_generation;
static _Atomic bool forked;

bool is_sticky(CUresult code) {
  return code == ILLEGAL_ADDRESS || code == LAUNCH_TIMEOUT || code == HARDWARE_STACK_ERROR || code == MISALIGNED_ADDRESS ||
         code == INVALID_PC || code == LAUNCH_FAILED || code == ECC_UNCORRECTABLE;
}

static void speak(const char *format, va_list args) {
  char text[1024];
  int n = snprintf(text, sizeof text, "fakecuda[%d]: ", (int)getpid());
  n += vsnprintf(text + n, sizeof text - n - 1, format, args);
  if (n > (int)sizeof text - 2) n = sizeof text - 2;
  text[n++] = '\n';
  if (write(2, text, n) < 0) return;
}

void complain(const char *format, ...) {
  va_list args;
  va_start(args, format);
  speak(format, args);
  va_end(args);
}

void violation(const char *format, ...) {
  va_list args;
  va_start(args, format);
  speak(format, args);
  va_end(args);
  if (self) {
    atomic_fetch_add(&self->violations, 1);
    atomic_fetch_add(&state->violations, 1);
  }
  abort();
}

CUresult stick(CUresult code) {
  int none = 0;
  if (atomic_compare_exchange_strong(&stuck, &none, code)) atomic_store(&self->sticky, code);
  return atomic_load(&stuck);
}

CUresult sticky(void) { return atomic_load(&stuck); }

static int call_by_name(const char *name) {
  if (!strcmp(name, "work")) return FAULT_WORK;
  for (int i = 0; i < CALLS; i++)
    if (!strcmp(names[i], name)) return i;
  violation("fault for %s, which is no function", name);
}

// parse_one reads one fault; text is changed.
static struct fault parse_one(char *text) {
  struct fault f = {0};
  char whole[256];
  snprintf(whole, sizeof whole, "%s", text);
  if (*text == '@') {
    char *colon = strchr(text, ':');
    if (!colon || colon - text > (long)sizeof f.role) violation("fault %s: @role: is wrong", whole);
    memcpy(f.role, text + 1, colon - text - 1);
    text = colon + 1;
  }
  char *equals = strchr(text, '='), *count;
  if (!equals) violation("fault %s has no =", whole);
  *equals = 0;
  if (*text == '#') {
    f.call = FAULT_ANY;
    count = text + 1;
  } else {
    char *colon = strchr(text, ':');
    if (!colon) violation("fault %s has no count", whole);
    *colon = 0;
    f.call = call_by_name(text);
    count = colon + 1;
  }
  char *end;
  f.nth = strtoull(count, &end, 10);
  f.onward = *end == '+';
  if (!f.nth || end[f.onward]) violation("fault %s: count %s", whole, count);
  const char *code = equals + 1;
  bool corrupt = f.call == FAULT_WORK && !strcmp(code, "corrupt");
  f.code = corrupt ? DO_CORRUPT : !strcmp(code, "kill") ? DO_KILL : !strcmp(code, "hang") ? DO_HANG : (int)strtol(code, &end, 10);
  if (f.code > 0 && *end) violation("fault %s: code %s", whole, code);
  if (!f.code) violation("fault %s: code %s", whole, code);
  return f;
}

// parse puts the faults of the state's text into its table, once for all processes.
static void parse(void) {
  state_lock();
  uint64_t generation = atomic_load(&state->spec_generation);
  if (atomic_load(&state->parsed_generation) != generation) {
    atomic_store(&state->faults_used, 0);
    char text[STATE_SPEC], *rest = text;
    memcpy(text, state->spec, sizeof text);
    text[sizeof text - 1] = 0;
    int n = 0;
    for (char *one; (one = strsep(&rest, ",")) != NULL;) {
      if (!*one) continue;
      if (n == STATE_FAULTS) violation("more than %d faults", STATE_FAULTS);
      state->faults[n++] = parse_one(one);
    }
    atomic_store(&state->faults_used, n);
    atomic_store(&state->parsed_generation, generation);
  }
  atomic_store(&seen_generation, generation);
  state_unlock();
}

// fault_refresh starts anew: the faults of the state, and no error that stuck before.
void fault_refresh(void) {
  parse();
  atomic_store(&stuck, 0);
  atomic_store(&self->sticky, 0);
}

// due tells what a fault does to this occurrence; 0 is nothing.
static int due(int what, bool call) {
  int code = 0;
  uint64_t n = atomic_load(&state->faults_used);
  for (uint64_t i = 0; i < n; i++) {
    struct fault *f = &state->faults[i];
    if (f->call != what && !(call && f->call == FAULT_ANY)) continue;
    if (f->role[0] && strncmp(f->role, self->role, sizeof self->role)) continue;
    uint64_t seen = atomic_fetch_add(&f->seen, 1) + 1;
    if (!code && (seen == f->nth || (f->onward && seen > f->nth))) code = f->code;
  }
  return code;
}

static CUresult happen(int code) {
  if (code == DO_KILL) kill(getpid(), SIGKILL);
  while (code == DO_KILL || code == DO_HANG) pause();
  bool dies = is_sticky(code) && atomic_load(&self->live[CONTEXTS]) > 0; // without a context nothing can stick
  return dies ? stick(code) : code;
}

CUresult enter(enum call c) {
  if (atomic_load(&forked)) return NOT_INITIALIZED;
  state_attach();
  if (c == CALL_cuInit) state_moved();
  if (atomic_load(&state->spec_generation) != atomic_load(&seen_generation)) fault_refresh();
  atomic_fetch_add(&state->calls[c], 1);
  if (needs[c] != FREE) {
    atomic_fetch_add(&state->total, 1);
    atomic_fetch_add(&self->calls, 1);
  }
  int code = due(c, needs[c] != FREE);
  if (code) return happen(code);
  if (needs[c] == FREE) return SUCCESS;
  if (atomic_load(&stuck) && needs[c] != INIT) return atomic_load(&stuck);
  if (needs[c] == INIT) return SUCCESS;
  if (!device_ready()) return NOT_INITIALIZED;
  if (in_callback) return NOT_PERMITTED;
  return needs[c] == CONTEXT ? context_check() : SUCCESS;
}

bool work_fault(void) {
  int code = due(FAULT_WORK, false);
  if (code && code != DO_CORRUPT) stick(happen(code));
  return code == DO_CORRUPT;
}

// A child that was forked, and has not become another program, cannot use the driver.
static void child_of_fork(void) {
  if (device_ready()) atomic_store(&forked, true);
  self = NULL;
}

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, child_of_fork); }
