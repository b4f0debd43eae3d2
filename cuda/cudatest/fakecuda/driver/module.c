// module.c: modules. PTX is not run: a kernel is found by the name of an entry that
// the text declares, with the parameters that it declares, and what runs is its twin
// for a CPU.
#include <ctype.h>

#include "fake.h"

struct module {
  struct context *context;
  char *text;
};

struct function {
  uint64_t module;
  const struct twin *twin;
  int arguments;
  unsigned char sizes[8];
};

// version reads the number after a directive, times ten: .version 6.4 is 64.
static int version(const char *text, const char *directive, const char *prefix) {
  const char *p = strstr(text, directive);
  if (!p) return -1;
  p += strlen(directive);
  while (isspace((unsigned char)*p)) p++;
  size_t n = strlen(prefix);
  return strncmp(p, prefix, n) ? -1 : (int)(strtod(p + n, NULL) * 10 + 0.5);
}

static CUresult check_text(const char *text) {
  int ptx = version(text, ".version", ""), sm = version(text, ".target", "sm_"), bits = version(text, ".address_size", "");
  if (ptx < 0 || sm < 0 || bits != 640) return INVALID_PTX;
  int newest = ((int)state->version / 1000 - 4) * 10 + (int)state->version % 1000 / 10; // CUDA 12.4 has PTX 8.4
  if (ptx > newest) return UNSUPPORTED_PTX_VERSION;
  if (sm > 900) return INVALID_PTX; // for a newer device than this one
  int depth = 0;
  for (const char *p = text; *p; p++) {
    if (*p != '\t' && *p != '\n' && *p != '\r' && ((unsigned char)*p < ' ' || (unsigned char)*p > '~')) return INVALID_PTX;
    depth += (*p == '{') - (*p == '}');
    if (depth < 0) return INVALID_PTX;
  }
  return depth ? INVALID_PTX : SUCCESS;
}

API CUresult cuModuleLoadData(uint64_t *out, const void *image) {
  ENTER(cuModuleLoadData);
  if (!out || !image) return INVALID_VALUE;
  CUresult r = check_text(image);
  if (r) return r;
  struct module *m = malloc(sizeof *m);
  *m = (struct module){context_current(), strdup(image)};
  *out = object_add(KIND_MODULE, m);
  live(MODULES, 1);
  return SUCCESS;
}

static struct module *module_of(uint64_t handle) {
  struct module *m = object_get(KIND_MODULE, handle);
  return m && m->context == context_current() ? m : NULL;
}

static void end_module(void *module) {
  struct module *m = module;
  free(m->text);
  free(m);
  live(MODULES, -1);
}

void module_end_context(struct context *c) { object_end(KIND_MODULE, c, end_module); }

API CUresult cuModuleUnload(uint64_t module) {
  ENTER(cuModuleUnload);
  struct module *m = module_of(module);
  if (!m || !object_remove(KIND_MODULE, module)) return INVALID_HANDLE;
  end_module(m);
  return SUCCESS;
}

// parameters reads the list of an entry: how many bytes each takes.
static int parameters(const char *p, unsigned char *sizes) {
  int n = 0;
  for (; *p && *p != ')'; p++) {
    if (strncmp(p, ".param", 6)) continue;
    p += 6;
    while (isspace((unsigned char)*p)) p++;
    if (*p != '.' || n == 8) return -1;
    int bits = atoi(p + 2);
    if (bits != 8 && bits != 16 && bits != 32 && bits != 64) return -1;
    sizes[n++] = bits / 8;
  }
  return n;
}

static const char *entry_of(const char *text, const char *name) {
  size_t n = strlen(name);
  for (const char *p = text; (p = strstr(p, ".entry")) != NULL;) {
    p += 6;
    while (isspace((unsigned char)*p)) p++;
    if (!strncmp(p, name, n) && (p[n] == '(' || isspace((unsigned char)p[n]))) return p + n;
  }
  return NULL;
}

API CUresult cuModuleGetFunction(uint64_t *out, uint64_t module, const char *name) {
  ENTER(cuModuleGetFunction);
  if (!out || !name) return INVALID_VALUE;
  struct module *m = module_of(module);
  if (!m) return INVALID_HANDLE;
  const char *entry = entry_of(m->text, name);
  if (!entry) return NOT_FOUND;
  struct function f = {.module = module};
  int declared = parameters(entry, f.sizes);
  f.twin = twin_find(name, &f.arguments);
  if (!f.twin || declared != f.arguments) {
    complain("%s: the PTX declares %d parameters, the twin has %d", name, declared, f.twin ? f.arguments : -1);
    return NOT_FOUND;
  }
  struct function *kept = malloc(sizeof *kept);
  *kept = f;
  *out = object_add(KIND_FUNCTION, kept); // as in the driver, it has no end of its own
  return SUCCESS;
}

static CUresult check_shape(const unsigned *grid, const unsigned *block) {
  uint64_t threads = 1;
  for (int i = 0; i < 3; i++) {
    if (!grid[i] || !block[i]) return INVALID_VALUE;
    threads *= block[i];
  }
  if (threads > 1024 || block[2] > 64 || grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535) return INVALID_VALUE;
  return SUCCESS;
}

API CUresult cuLaunchKernel(uint64_t function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                            unsigned shared, uint64_t stream, void **parameters, void **extra) {
  ENTER(cuLaunchKernel);
  struct function *f = object_get(KIND_FUNCTION, function);
  if (!f || !module_of(f->module)) return INVALID_HANDLE;
  struct stream *s;
  CUresult r = stream_get(stream, &s);
  if (!r) r = check_shape((unsigned[]){gx, gy, gz}, (unsigned[]){bx, by, bz});
  if (r) return r;
  if (!parameters || extra || shared > 227 << 10 || gy * gz * by * bz != 1) return INVALID_VALUE;
  struct op *o = calloc(1, sizeof *o);
  o->work = WORK_LAUNCH;
  o->launch = calloc(1, sizeof *o->launch);
  o->launch->twin = f->twin;
  o->launch->threads = (uint64_t)gx * bx;
  o->launch->block = bx;
  for (int i = 0; i < f->arguments; i++) memcpy(&o->launch->arguments[i], parameters[i], f->sizes[i]);
  if ((r = twin_prepare(o->launch))) {
    work_free(o);
    return r;
  }
  return stream_push(s, o);
}
