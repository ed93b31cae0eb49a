// Products of a warpgroup, four warps that follow each other: cards of compute capability 9.0, in
// code that is compiled for sm_90a.
//
// Matrices in shared memory lie in blocks of 64 columns, rows of 128 bytes whose 16-byte pieces are
// exchanged by the row: piece i of row r lies in place i ^ r % 8. Blocks begin at multiples of
// 1,024 bytes.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "ops/columns.h"

namespace tarn::cuda::group {

// Whether this code has these products; elsewhere kernels that use them are empty.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define TARN_WARPGROUPS 1
#endif

constexpr int threads = 128, rows = 64, block_columns = 64, row_bytes = 128;

// Where a product finds a matrix whose rows lie as said above, from its first column's address on.
__device__ inline uint64_t place_of_rows(unsigned address) {
  constexpr uint64_t eight_rows = 8 * row_bytes / 16, exchanged = 1;
  return (address & 0x3ffffu) >> 4 | uint64_t{1} << 16 | eight_rows << 32 | exchanged << 62;
}
// The same for a right operand whose rows are the product's sum, its columns in blocks of so many
// bytes.
__device__ inline uint64_t place_of_columns(unsigned address, unsigned block_bytes) {
  constexpr uint64_t eight_rows = 8 * row_bytes / 16, exchanged = 1;
  return (address & 0x3ffffu) >> 4 | uint64_t{block_bytes >> 4} << 16 | eight_rows << 32 |
         exchanged << 62;
}

// Registers have their numbers here, and not later.
__device__ inline void settle(unsigned (&a)[4]) {
  asm volatile("" : "+r"(a[0]), "+r"(a[1]), "+r"(a[2]), "+r"(a[3])::"memory");
}
// Between writes of registers that a product reads, and the product.
__device__ inline void begin_products() {
#ifdef TARN_WARPGROUPS
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
__device__ inline void end_products() {
#ifdef TARN_WARPGROUPS
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Until at most so many products are on their way.
template <int left>
__device__ void await_products() {
#ifdef TARN_WARPGROUPS
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
#endif
}
// What was written to shared memory, by this thread or before it waited, is there for products.
__device__ inline void show_to_products() {
#ifdef TARN_WARPGROUPS
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
// Registers of a thread, of all that a block has.
template <int count>
__device__ void take_registers() {
#ifdef TARN_WARPGROUPS
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
#endif
}
template <int count>
__device__ void leave_registers() {
#ifdef TARN_WARPGROUPS
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
#endif
}

// Until so many threads are here; number 0 is that of __syncthreads().
__device__ inline void meet(int number, int count) {
  asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(count) : "memory");
}

// --- barriers in shared memory, with turns

__device__ inline unsigned address_of(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}
__device__ inline void set_barrier(uint64_t* barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(address_of(barrier)), "r"(arrivals)
               : "memory");
}
__device__ inline void arrive(uint64_t* barrier) {
#ifdef TARN_WARPGROUPS
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address_of(barrier)) : "memory");
#endif
}
// Once what this thread asked to be copied to shared memory is there.
__device__ inline void arrive_with_copies(uint64_t* barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(address_of(barrier))
               : "memory");
}
// Whether the barrier's turn of that parity is over.
__device__ inline bool is_over(uint64_t* barrier, unsigned parity) {
  unsigned over = 1;
#ifdef TARN_WARPGROUPS
  asm volatile(
      "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; "
      "}"
      : "=r"(over)
      : "r"(address_of(barrier)), "r"(parity)
      : "memory");
#endif
  return over != 0;
}
__device__ inline void await(uint64_t* barrier, unsigned parity) {
  while (!is_over(barrier, parity)) {
  }
}

// --- products

// d (64, n) = a (64, 16) b (16, n), added to d if `add`. Of d a thread has columns 8 j + 2 t and
// the next of rows g (d[4 j] and d[4 j + 1]) and g + 8 of its warp's 16; of a, where that is in
// registers, columns 2 t and 2 t + 1 of rows g and g + 8, then those eight further on. b lies in
// shared memory in n rows, or if `by_columns` in 16 rows of n columns.
template <class T, int n, bool by_columns = false>
struct Product;

// clang-format off
#define TARN_REGISTERS_64 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TARN_REGISTERS_128 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TARN_REGISTERS_256 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define TARN_OUT8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), \
  "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define TARN_OUT32(i) TARN_OUT8(i), TARN_OUT8(i + 8), TARN_OUT8(i + 16), TARN_OUT8(i + 24)
#define TARN_OUT_64 TARN_OUT32(0)
#define TARN_OUT_128 TARN_OUT32(0), TARN_OUT32(32)
#define TARN_OUT_256 TARN_OUT32(0), TARN_OUT32(32), TARN_OUT32(64), TARN_OUT32(96)
#ifdef TARN_WARPGROUPS
#define TARN_FROM_SHARED(n, type, a_at, b_at, p_at, turn_at) \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, " p_at ", 0; " \
               "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type \
               " {" TARN_REGISTERS_##n "}, " \
               a_at ", " b_at ", p, 1, 1, 0, " turn_at "; }" \
               : TARN_OUT_##n : "l"(a), "l"(b), "r"(int{add}), "n"(int{by_columns}))
#define TARN_FROM_REGISTERS(n, type, a_at, b_at, p_at, turn_at) \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, " p_at ", 0; " \
               "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type \
               " {" TARN_REGISTERS_##n "}, " \
               "{" a_at "}, " b_at ", p, 1, 1, " turn_at "; }" \
               : TARN_OUT_##n \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int{add}), \
                 "n"(int{by_columns}))
#else
#define TARN_FROM_SHARED(...)
#define TARN_FROM_REGISTERS(...)
#endif
#define TARN_PRODUCT(n, a0, a1, a2, a3, a4, a5, a6) \
  template <class T, bool by_columns> \
  struct Product<T, n, by_columns> { \
    static __device__ void add_to(float (&d)[n / 2], uint64_t a, uint64_t b, bool add) { \
      if constexpr (__is_same(T, ops::Half)) TARN_FROM_SHARED(n, "f16", a0, a1, a2, a3); \
      else TARN_FROM_SHARED(n, "bf16", a0, a1, a2, a3); \
    } \
    static __device__ void add_to(float (&d)[n / 2], const unsigned* a, uint64_t b, bool add) { \
      if constexpr (__is_same(T, ops::Half)) \
        TARN_FROM_REGISTERS(n, "f16", a0 ", " a1 ", " a2 ", " a3, a4, a5, a6); \
      else TARN_FROM_REGISTERS(n, "bf16", a0 ", " a1 ", " a2 ", " a3, a4, a5, a6); \
    } \
  };
TARN_PRODUCT(64, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
TARN_PRODUCT(128, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
TARN_PRODUCT(256, "%128", "%129", "%130", "%131", "%132", "%133", "%134")
// clang-format on
#undef TARN_PRODUCT
#undef TARN_FROM_SHARED
#undef TARN_FROM_REGISTERS
#undef TARN_OUT_64
#undef TARN_OUT_128
#undef TARN_OUT_256
#undef TARN_OUT32
#undef TARN_OUT8
#undef TARN_REGISTERS_64
#undef TARN_REGISTERS_128
#undef TARN_REGISTERS_256

}  // namespace tarn::cuda::group
