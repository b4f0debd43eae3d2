// memory.c: handles, mappings, access, descriptors.
#include <fcntl.h>
#include <sys/mman.h>

#include "client.h"

static void refused(int want, Properties p) {
  Handle h;
  GIVES(want, cuMemCreate(&h, SLAB, &p, 0));
}

void run_creation(void) {
  const Properties fine = {.type = 1, .handles = 1, .location = {1, 0}};
  Properties p = fine;
  Handle h;
  size_t n;
  GIVES(3, cuMemCreate(&h, SLAB, &fine, 0));
  OK(cuInit(0)); // and no context
  OK(cuMemGetAllocationGranularity(&n, &fine, 0));
  TRUE(n == SLAB);
  GIVES(1, cuMemCreate(&h, SLAB + 4096, &fine, 0));
  GIVES(1, cuMemCreate(&h, 0, &fine, 0));
  GIVES(1, cuMemCreate(&h, SLAB, &fine, 1));
  GIVES(1, cuMemCreate(&h, SLAB, NULL, 0));
  p.type = 0, refused(1, p), p = fine;
  p.location.type = 2, refused(1, p), p = fine;
  p.location.id = 9, refused(101, p), p = fine;
  p.handles = 8, refused(801, p), p = fine;
  p.rdma = 1, refused(1, p), p = fine;
  p.compression = 1, refused(1, p), p = fine;
  p.reserved[2] = 1, refused(1, p), p = fine;
  OK(cuMemCreate(&h, 16 * SLAB, &fine, 0)); // all of it
  GIVES(2, cuMemCreate(&h, SLAB, &fine, 0));
  OK(cuMemRelease(h));
  OK(cuMemCreate(&h, SLAB, &fine, 0));
  OK(cuMemRelease(h));
  GIVES(1, cuMemRelease(h));
  GIVES(1, cuMemRelease(0));
}

void run_maps(void) {
  open_device(0);
  Handle a = create(0, 2 * SLAB), b = create(0, SLAB);
  Ptr at = reserve(8 * SLAB), more;
  GIVES(1, cuMemAddressReserve(&more, SLAB + 4096, 0, 0, 0));
  GIVES(1, cuMemAddressReserve(&more, SLAB, 3 * SLAB, 0, 0));
  OK(cuMemAddressReserve(&more, SLAB, 8 * SLAB, 0, 0));
  TRUE(more % (8 * SLAB) == 0);
  GIVES(1, cuMemMap(at, SLAB, SLAB, a, 0));        // offset
  GIVES(1, cuMemMap(at, SLAB, 0, a, 0));           // part of a handle
  GIVES(1, cuMemMap(at, 2 * SLAB, 0, b, 0));       // more than a handle
  GIVES(1, cuMemMap(at + 4096, SLAB, 0, b, 0));    // off the granularity
  GIVES(1, cuMemMap(at + 7 * SLAB, 2 * SLAB, 0, a, 0)); // over the end
  GIVES(1, cuMemMap(0x200000, SLAB, 0, b, 0));     // not reserved
  GIVES(1, cuMemMap(at, SLAB, 0, b, 1));           // flags
  OK(cuMemMap(at, 2 * SLAB, 0, a, 0));
  GIVES(1, cuMemMap(at + SLAB, SLAB, 0, b, 0)); // overlap
  OK(cuMemMap(at + 2 * SLAB, SLAB, 0, b, 0));
  OK(cuMemMap(at + 4 * SLAB, SLAB, 0, b, 0)); // the same handle twice
  Access rw = {{1, 0}, 3}, odd = {{1, 0}, 2}, far = {{1, 3}, 3};
  GIVES(1, cuMemSetAccess(at, SLAB, &rw, 1));     // part of a mapping
  GIVES(1, cuMemSetAccess(at, 8 * SLAB, &rw, 1)); // more than is mapped
  GIVES(1, cuMemSetAccess(at, 5 * SLAB, &rw, 1)); // a gap
  GIVES(1, cuMemSetAccess(at, 3 * SLAB, &odd, 1));
  GIVES(101, cuMemSetAccess(at, 3 * SLAB, &far, 1));
  GIVES(1, cuMemSetAccess(at, 3 * SLAB, &rw, 0));
  OK(cuMemSetAccess(at, 3 * SLAB, &rw, 1)); // one call over two
  GIVES(1, cuMemUnmap(at, SLAB));
  GIVES(1, cuMemUnmap(at, 8 * SLAB));
  GIVES(1, cuMemAddressFree(at, 8 * SLAB)); // something is mapped
  OK(cuMemUnmap(at, 3 * SLAB));
  GIVES(1, cuMemUnmap(at, 3 * SLAB));
  OK(cuMemUnmap(at + 4 * SLAB, SLAB));
  GIVES(1, cuMemAddressFree(at, SLAB));
  OK(cuMemAddressFree(at, 8 * SLAB));
  GIVES(1, cuMemAddressFree(at, 8 * SLAB));
  OK(cuMemAddressFree(more, SLAB));
  OK(cuMemRelease(a));
  OK(cuMemRelease(b));
}

void run_access(void) {
  open_device(0);
  Ptr at = mapped(0, SLAB, 0);
  unsigned char *p = (unsigned char *)at;
  TRUE(dies(p, false)); // a mapping has no access from the start
  grant(at, SLAB, 0, 3);
  TRUE(!dies(p, true));
  TRUE(all(p, 0xa5, SLAB)); // and no zeros
  grant(at, SLAB, 0, 1);
  TRUE(!dies(p, false));
  TRUE(dies(p, true));
  OK(cuMemUnmap(at, SLAB));
  TRUE(dies(p, false));
}

// A copy into what is mapped for reading is an illegal access of the device.
void run_read_only_copy(void) {
  open_device(0);
  unsigned char b[64] = {0};
  Ptr at = mapped(0, SLAB, 1);
  OK(cuMemcpyDtoH_v2(b, at, sizeof b));
  TRUE(all(b, 0xa5, sizeof b));
  OK(cuMemcpyHtoDAsync_v2(at, b, sizeof b, NULL));
  GIVES(700, cuStreamSynchronize(NULL));
  GIVES(700, cuCtxSynchronize());
  TRUE(all((void *)at, 0xa5, SLAB));
}

void run_peers(void) {
  open_device(1);
  unsigned char b[64] = {0};
  Handle h = create(0, SLAB);
  Ptr at = reserve(SLAB);
  OK(cuMemMap(at, SLAB, 0, h, 0));
  Access a = {{1, 1}, 3};
  GIVES(217, cuMemSetAccess(at, SLAB, &a, 1));
  grant(at, SLAB, 0, 3);
  GIVES(1, cuMemcpyHtoD_v2(at, b, sizeof b)); // memory of device 0 in a context of device 1
}

void run_plain(void) {
  open_device(0);
  Ptr at, base;
  size_t n, available, total;
  OK(cuMemAlloc_v2(&at, 1000));
  OK(cuMemGetInfo_v2(&available, &total));
  TRUE(total - available == SLAB);
  TRUE(device_all(at, 0xa5, 1000));
  GIVES(1, cuMemUnmap(at, SLAB));
  GIVES(1, cuMemFree_v2(at + 8));
  OK(cuMemGetAddressRange_v2(&base, &n, at + 100));
  TRUE(base == at && n == SLAB);
  OK(cuMemFree_v2(at));
  GIVES(1, cuMemFree_v2(at));
  GIVES(500, cuMemGetAddressRange_v2(&base, &n, at));
  GIVES(2, cuMemAlloc_v2(&at, 1 << 30));
}

void run_descriptors(void) {
  open_device(0);
  Handle h = create(0, SLAB), again, private;
  Properties p = {.type = 1, .handles = 0, .location = {1, 0}};
  int fd = -1, other = memfd_create("else", 0);
  size_t available, total;
  if (ftruncate(other, SLAB)) abort();
  GIVES(801, cuMemExportToShareableHandle(&fd, h, 8, 0));
  OK(cuMemExportToShareableHandle(&fd, h, 1, 0));
  TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  GIVES(1, cuMemImportFromShareableHandle(&again, (void *)(intptr_t)other, 1));
  GIVES(1, cuMemImportFromShareableHandle(&again, (void *)(intptr_t)999, 1));
  OK(cuMemImportFromShareableHandle(&again, (void *)(intptr_t)fd, 1));
  TRUE(again != h);
  OK(cuMemCreate(&private, SLAB, &p, 0));
  GIVES(1, cuMemExportToShareableHandle(&other, private, 1, 0));
  OK(cuMemRelease(private));
  Ptr a = reserve(SLAB), b = reserve(SLAB);
  OK(cuMemMap(a, SLAB, 0, h, 0));
  OK(cuMemMap(b, SLAB, 0, again, 0));
  grant(a, SLAB, 0, 3);
  grant(b, SLAB, 0, 1);
  fill(a, 3, SLAB);
  TRUE(all((void *)b, 3, SLAB)); // the same memory
  OK(cuMemUnmap(a, SLAB));
  OK(cuMemUnmap(b, SLAB));
  OK(cuMemRelease(h));
  OK(cuMemRelease(again));
  OK(cuMemGetInfo_v2(&available, &total));
  TRUE(total - available == SLAB); // the descriptor alone keeps it
  OK(cuMemImportFromShareableHandle(&again, (void *)(intptr_t)fd, 1));
  close(fd);
  OK(cuMemRelease(again));
  OK(cuMemGetInfo_v2(&available, &total));
  TRUE(total == available);
}

// hold takes memory by handle, mapping or descriptor, as it is told, and waits.
void run_hold(void) {
  open_device(0);
  int fd;
  Handle h = create(0, SLAB);
  if (!strcmp(arguments[0], "mapping")) {
    Ptr at = reserve(SLAB);
    OK(cuMemMap(at, SLAB, 0, h, 0));
    OK(cuMemRelease(h));
  }
  if (!strcmp(arguments[0], "descriptor")) {
    OK(cuMemExportToShareableHandle(&fd, h, 1, 0));
    OK(cuMemRelease(h));
  }
  say("ready");
  hear();
}

// importer maps the memory of descriptor 3, which it has from another process, and
// reads it through its own mapping.
void run_importer(void) {
  open_device(atoi(arguments[0]));
  Handle h;
  OK(cuMemImportFromShareableHandle(&h, (void *)3, 1));
  close(3);
  Ptr at = reserve(SLAB);
  OK(cuMemMap(at, SLAB, 0, h, 0));
  OK(cuMemRelease(h));
  grant(at, SLAB, atoi(arguments[0]), 1);
  printf("%d\n", *(unsigned char *)at);
  fflush(stdout);
  TRUE(dies((unsigned char *)at, true));
  hear();
}

// agentlike does what an agent does: everything without a context.
void run_agentlike(void) {
  OK(cuInit(0));
  Handle h = create(0, SLAB);
  int fd;
  Ptr at;
  OK(cuMemExportToShareableHandle(&fd, h, 1, 0));
  OK(cuMemRelease(h));
  close(fd);
  GIVES(201, cuMemAddressReserve(&at, SLAB, 0, 0, 0));
  GIVES(201, cuMemMap(SLAB, SLAB, 0, h, 0));
}

void run_lifetime(void) {
  open_device(0);
  size_t available, total;
  Handle h = create(0, SLAB);
  Ptr at = reserve(SLAB);
  OK(cuMemMap(at, SLAB, 0, h, 0));
  grant(at, SLAB, 0, 3);
  OK(cuMemRelease(h));
  GIVES(1, cuMemRelease(h));
  GIVES(1, cuMemMap(at, SLAB, 0, h, 0));
  fill(at, 7, SLAB);
  TRUE(device_all(at, 7, SLAB)); // the mapping keeps it
  OK(cuMemGetInfo_v2(&available, &total));
  TRUE(total - available == SLAB);
  Handle again;
  OK(cuMemRetainAllocationHandle(&again, (void *)at));
  OK(cuMemUnmap(at, SLAB));
  OK(cuMemGetInfo_v2(&available, &total));
  TRUE(total - available == SLAB);
  OK(cuMemRelease(again));
  OK(cuMemGetInfo_v2(&available, &total));
  TRUE(total == available);
}

// grab takes slabs until there are none.
void run_grab(void) {
  const Properties p = {.type = 1, .handles = 1, .location = {1, 0}};
  Handle h;
  int n = 0, r;
  OK(cuInit(0));
  while (!(r = cuMemCreate(&h, SLAB, &p, 0))) n++;
  GIVES(2, r);
  printf("%d\n", n);
  fflush(stdout);
  hear();
}
