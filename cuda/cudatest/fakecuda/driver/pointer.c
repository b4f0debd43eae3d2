// pointer.c: plain device memory, and what the driver tells of an address.
#include "fake.h"

API CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t n) {
  ENTER(cuMemAlloc_v2);
  if (!out || !n) return INVALID_VALUE;
  CUresult r = space_alloc(context_current()->device, n, out);
  if (!r) live(ALLOCATIONS, 1);
  return r;
}

API CUresult cuMemFree_v2(CUdeviceptr at) {
  ENTER(cuMemFree_v2);
  CUresult r = stream_wait_context(context_current());
  if (r || !at) return r;
  if (!(r = space_free(at))) live(ALLOCATIONS, -1);
  return r;
}

API CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr at) {
  ENTER(cuMemGetAddressRange_v2);
  CUdeviceptr b;
  uint64_t n;
  int device;
  CUresult r = space_range(at, &b, &n, &device);
  if (r) return NOT_FOUND;
  if (base) *base = b;
  if (size) *size = n;
  return SUCCESS;
}

enum { KNOWN_NOT, KNOWN_HOST, KNOWN_DEVICE }; // as CU_MEMORYTYPE_ counts

struct about {
  int kind;
  CUdeviceptr base;
  uint64_t size;
  int device;
};

static struct about about(CUdeviceptr at) {
  struct about a = {0};
  if (!space_range(at, &a.base, &a.size, &a.device))
    a.kind = KNOWN_DEVICE;
  else if (host_range((void *)at, &a.base, &a.size)) {
    a.kind = KNOWN_HOST;
    a.device = context_current()->device;
  }
  return a;
}

// tell answers for one attribute; a zero is what an unknown address has.
static CUresult tell(void *out, int attribute, CUdeviceptr at, const struct about *a) {
  switch (attribute) {
  case 1: *(uint64_t *)out = a->kind ? context_current()->id : 0; return SUCCESS;
  case 2: *(unsigned *)out = a->kind; return SUCCESS;
  case 3: *(CUdeviceptr *)out = a->kind ? at : 0; return SUCCESS;
  case 4: *(uint64_t *)out = a->kind == KNOWN_HOST ? at : 0; return SUCCESS;
  case 8: *(unsigned *)out = 0; return SUCCESS; // managed
  case 9: *(int *)out = a->kind ? device_local(a->device) : -2; return SUCCESS;
  case 11: *(CUdeviceptr *)out = a->base; return SUCCESS;
  case 12: *(size_t *)out = a->size; return SUCCESS;
  case 13: *(unsigned *)out = a->kind != KNOWN_NOT; return SUCCESS; // mapped
  default: return INVALID_VALUE;
  }
}

API CUresult cuPointerGetAttribute(void *out, int attribute, CUdeviceptr at) {
  ENTER(cuPointerGetAttribute);
  struct about a = about(at);
  return out && a.kind ? tell(out, attribute, at, &a) : INVALID_VALUE;
}

API CUresult cuPointerGetAttributes(unsigned n, int *attributes, void **out, CUdeviceptr at) {
  ENTER(cuPointerGetAttributes);
  if (!n || !attributes || !out) return INVALID_VALUE;
  struct about a = about(at);
  CUresult r = SUCCESS;
  for (unsigned i = 0; i < n && !r; i++) r = tell(out[i], attributes[i], at, &a);
  return r;
}
