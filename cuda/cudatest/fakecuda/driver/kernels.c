// kernels.c: the kernels of package ptx, compiled for the host. A kernel runs as a
// few threads one after the other, the last one first.
#include "fake.h"

#include "ptx_kernels.h" // written there by who compiles this

enum { PLANES, DELTA, SUM };

static const struct {
  const char *name;
  int shape;
} shapes[] = {
    {"ingot_merge2", PLANES},
    {"ingot_merge_bf16", PLANES},
    {"ingot_delta16", DELTA},
    {"ingot_sum64", SUM},
};

struct twin {
  const struct ingot_kernel *kernel;
  int shape;
};

static struct twin twins[16];

const struct twin *twin_find(const char *name, int *arguments) {
  for (size_t i = 0; i < sizeof ingot_kernels / sizeof *ingot_kernels; i++) {
    if (strcmp(ingot_kernels[i].name, name)) continue;
    for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++) {
      if (strcmp(shapes[j].name, name)) continue;
      twins[i] = (struct twin){&ingot_kernels[i], shapes[j].shape};
      *arguments = ingot_kernels[i].arguments;
      return &twins[i];
    }
  }
  return NULL;
}

static void use(struct launch *l, uint64_t at, uint64_t n, int access) {
  l->ranges[l->range_count++] = (struct range){at, n, access};
}

// clash tells that what a kernel writes lies over what it reads. Where it works on
// each element alone, it may be the very same.
static bool clash(const struct launch *l, bool same) {
  const struct range *to = &l->ranges[0];
  for (int i = 1; i < l->range_count; i++) {
    const struct range *from = &l->ranges[i];
    if (to->at < from->at + from->n && from->at < to->at + to->n && !(same && to->at == from->at)) return true;
  }
  return false;
}

// twin_prepare says what memory a launch uses. It refuses what the kernels do not
// promise anything for, which a device would run and give nonsense, and what is not
// aligned for the widest access of a kernel.
CUresult twin_prepare(struct launch *l) {
  const uint64_t *a = l->arguments;
  uint64_t odd = 0;
  switch (l->twin->shape) {
  case PLANES:
    use(l, a[0], 2 * a[3], 2);
    use(l, a[1], a[3], 1);
    use(l, a[2], a[3], 1);
    odd = a[0] % 8 | a[1] % 4 | a[2] % 4;
    break;
  case DELTA:
    use(l, a[0], 2 * a[3], 2);
    use(l, a[1], 2 * a[3], 1);
    use(l, a[2], 2 * a[3], 1);
    odd = (a[0] | a[1] | a[2]) % 8;
    break;
  case SUM:
    use(l, a[0], 8, 3);
    use(l, a[1], a[2], 1);
    odd = (a[0] | a[1]) % 8;
  }
  if (odd) return stick(MISALIGNED_ADDRESS);
  if (l->block % 32 == 0 && !clash(l, l->twin->shape == DELTA)) return SUCCESS;
  complain("%s: blocks must be a multiple of 32 threads, and what it writes lie beside what it reads", l->twin->kernel->name);
  return INVALID_VALUE;
}

void twin_run(struct launch *l) {
  void *arguments[8];
  for (int i = 0; i < 8; i++) arguments[i] = &l->arguments[i];
  host_threads = l->threads < 8 ? l->threads : 8;
  for (uint64_t t = host_threads; t-- > 0;) {
    host_thread = t;
    l->twin->kernel->run(arguments);
  }
}
