// The kernels of ingot's GPU tier: what runs on a GPU, as plain C.
//
// clang compiles this file to PTX (make ptx), which is committed beside it. Any C
// compiler compiles it for the host, where a kernel is a function that does all of
// its work in one call; the fake driver and the tests run those. Both are little
// endian.
//
// Every kernel takes any grid of one dimension and any block whose size is a
// multiple of 32: a thread does its first piece, then every piece that is a whole
// grid further on. Pointers are to device memory. Lengths count elements or bytes,
// as said, and need not be multiples of anything. No kernel writes outside what its
// length says.
typedef unsigned char u8 __attribute__((may_alias));
typedef unsigned short u16 __attribute__((may_alias));
typedef unsigned int u32 __attribute__((may_alias));
typedef unsigned long long u64 __attribute__((may_alias));

#ifdef __NVPTX__
#define KERNEL __attribute__((nvptx_kernel)) void
#define GLOBAL __attribute__((address_space(1)))
static inline u64 thread(void) {
  return (u64)__nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x() + __nvvm_read_ptx_sreg_tid_x();
}
static inline u64 threads(void) {
  return (u64)__nvvm_read_ptx_sreg_nctaid_x() * __nvvm_read_ptx_sreg_ntid_x();
}
// total adds up a number over the 32 threads of a warp and adds that to *out once:
// a single add for every thread would have them all wait for one address.
static inline void total(u64 GLOBAL *out, u64 x) {
  for (int step = 16; step > 0; step >>= 1) {
    u32 low = __nvvm_shfl_sync_down_i32(~0u, (u32)x, step, 31);
    u32 high = __nvvm_shfl_sync_down_i32(~0u, (u32)(x >> 32), step, 31);
    x += (u64)high << 32 | low;
  }
  if (__nvvm_read_ptx_sreg_tid_x() % 32 == 0) __atomic_fetch_add(out, x, __ATOMIC_RELAXED);
}
#else
#define KERNEL void
#define GLOBAL
// The thread that runs, and of how many: one that does everything, unless somebody
// runs a kernel once for each of several.
static __thread u64 host_thread, host_threads = 1;
static inline u64 thread(void) { return host_thread; }
static inline u64 threads(void) { return host_threads; }
static inline void total(u64 *out, u64 x) { *out += x; }
#endif

// spread puts the four bytes of x into the low halves of four 2-byte elements.
static inline u64 spread(u64 x) {
  x = (x | x << 16) & 0x0000ffff0000ffffull;
  return (x | x << 8) & 0x00ff00ff00ff00ffull;
}

// ingot_merge2 puts two byte planes together: element i is low[i] | high[i] << 8,
// the planes of layout 2 of an encoded chunk.
//   dst       2 * elements bytes, aligned to 8
//   low, high elements bytes each, aligned to 4; neither overlaps dst
//   elements  their number
KERNEL ingot_merge2(u8 GLOBAL *dst, const u8 GLOBAL *low, const u8 GLOBAL *high, u64 elements) {
  u64 GLOBAL *to = (u64 GLOBAL *)dst;
  const u32 GLOBAL *l = (const u32 GLOBAL *)low;
  const u32 GLOBAL *h = (const u32 GLOBAL *)high;
  for (u64 i = thread(); i < elements / 4; i += threads()) to[i] = spread(l[i]) | spread(h[i]) << 8;
  for (u64 i = elements / 4 * 4 + thread(); i < elements; i += threads())
    ((u16 GLOBAL *)dst)[i] = (u16)(low[i] | high[i] << 8);
}

// ingot_merge_bf16 puts the two planes of layout 3 together: element i is
// (low[i] & 0x80) << 8 | high[i] << 7 | (low[i] & 0x7f), where low holds sign and
// mantissa and high the exponent. Arguments as for ingot_merge2.
KERNEL ingot_merge_bf16(u8 GLOBAL *dst, const u8 GLOBAL *low, const u8 GLOBAL *high, u64 elements) {
  u64 GLOBAL *to = (u64 GLOBAL *)dst;
  const u32 GLOBAL *l = (const u32 GLOBAL *)low;
  const u32 GLOBAL *h = (const u32 GLOBAL *)high;
  for (u64 i = thread(); i < elements / 4; i += threads()) {
    u64 s = spread(l[i]);
    to[i] = (s & 0x0080008000800080ull) << 8 | spread(h[i]) << 7 | (s & 0x007f007f007f007full);
  }
  for (u64 i = elements / 4 * 4 + thread(); i < elements; i += threads())
    ((u16 GLOBAL *)dst)[i] = (u16)((low[i] & 0x80) << 8 | high[i] << 7 | (low[i] & 0x7f));
}

// ingot_delta16 applies a delta of 2-byte elements: element i of dst is
// base[i] + unzigzag(delta[i]) mod 2^16, where unzigzag(z) = z >> 1 for an even z
// and -(z >> 1) - 1 for an odd one.
//   dst, base, delta  2 * elements bytes each, aligned to 8; dst may be base or
//                     delta, and overlaps them in no other way
//   elements          their number
KERNEL ingot_delta16(u8 GLOBAL *dst, const u8 GLOBAL *base, const u8 GLOBAL *delta, u64 elements) {
  const u64 ones = 0x0001000100010001ull, tops = 0x8000800080008000ull;
  u64 GLOBAL *to = (u64 GLOBAL *)dst;
  const u64 GLOBAL *b = (const u64 GLOBAL *)base;
  const u64 GLOBAL *z = (const u64 GLOBAL *)delta;
  for (u64 i = thread(); i < elements / 4; i += threads()) {
    u64 d = (z[i] >> 1 & ~tops) ^ (z[i] & ones) * 0xffff;
    to[i] = ((b[i] & ~tops) + (d & ~tops)) ^ ((b[i] ^ d) & tops); // no carry leaves its element
  }
  for (u64 i = elements / 4 * 4 + thread(); i < elements; i += threads()) {
    u32 v = ((const u16 GLOBAL *)delta)[i];
    ((u16 GLOBAL *)dst)[i] = (u16)(((const u16 GLOBAL *)base)[i] + (v >> 1 ^ -(v & 1)));
  }
}

// mix is the last step of splitmix64: every bit of the word moves every bit of the
// result, and no two words give the same.
static inline u64 mix(u64 x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

// ingot_sum64 adds the checksum of a run of bytes to *out, which the caller has set
// to zero. The run is taken as 64-bit words, little endian, the last one filled up
// with zero bytes; word 0 is the length in bytes, and the words of the run are 1, 2
// and so on. The sum over all words of mix(word + place * 0x9e3779b97f4a7c15) mod
// 2^64 is the checksum: in whatever order threads add, it is the same, and a word
// that moves or a tail that is cut changes it.
//   out    one 64-bit word, aligned to 8
//   from   bytes bytes, aligned to 8
//   bytes  their number
KERNEL ingot_sum64(u64 GLOBAL *out, const u8 GLOBAL *from, u64 bytes) {
  const u64 place = 0x9e3779b97f4a7c15ull;
  const u64 GLOBAL *words = (const u64 GLOBAL *)from;
  u64 whole = bytes / 8, sum = 0;
  for (u64 i = thread(); i < whole; i += threads()) sum += mix(words[i] + (i + 1) * place);
  if (thread() == 0) {
    sum += mix(bytes);
    u64 last = 0;
    for (u64 i = whole * 8; i < bytes; i++) last |= (u64)from[i] << 8 * (i % 8);
    if (bytes % 8) sum += mix(last + (whole + 1) * place);
  }
  total(out, sum);
}

#ifndef __NVPTX__
// The kernels by name, for a driver that gets its arguments as cuLaunchKernel has
// them: an array of pointers to the values.
struct ingot_kernel {
  const char *name;
  int arguments; // 64 bits each
  void (*run)(void **arguments);
};
#define ARGUMENT(i) (*(u64 *)a[i])
#define ADDRESS(i) ((u8 *)ARGUMENT(i))
static void run_merge2(void **a) { ingot_merge2(ADDRESS(0), ADDRESS(1), ADDRESS(2), ARGUMENT(3)); }
static void run_merge_bf16(void **a) { ingot_merge_bf16(ADDRESS(0), ADDRESS(1), ADDRESS(2), ARGUMENT(3)); }
static void run_delta16(void **a) { ingot_delta16(ADDRESS(0), ADDRESS(1), ADDRESS(2), ARGUMENT(3)); }
static void run_sum64(void **a) { ingot_sum64((u64 *)ADDRESS(0), ADDRESS(1), ARGUMENT(2)); }
#undef ARGUMENT
#undef ADDRESS
__attribute__((unused)) static const struct ingot_kernel ingot_kernels[] = {
    {"ingot_merge2", 4, run_merge2},
    {"ingot_merge_bf16", 4, run_merge_bf16},
    {"ingot_delta16", 4, run_delta16},
    {"ingot_sum64", 3, run_sum64},
};
#endif
