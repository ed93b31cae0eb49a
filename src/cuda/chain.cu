// Fused elementwise chains: the catalogue's formulas as blocks that a kernel calls one after the
// other, with the values between them in shared memory.
//
// A thread block takes items x 128 elements, a thread four neighbours at a time and only its own,
// so that nothing waits. Interpreting costs about 12 bytes of shared memory an element and op, of
// which a multiprocessor moves 128 a clock. No source is compiled at run time, so that the first
// call does not stall and no compiler need be there.
#include "cuda/chain.h"
#include "ops/catalogue.h"
#include "ops/columns.h"

namespace tarn::cuda {
namespace {

using namespace ops;

// Numbers that a thread moves together: 16 bytes at a time where they are large enough.
template <class T>
struct alignas(sizeof(T) < 4 ? 4 * sizeof(T) : 16) Four {
  T of[4];
};
// The fours of a block's register: `count`, `step` bytes apart whatever their type. So a thread's
// lie in the same place of every register, and none writes where another has yet to read.
struct Fours {
  int count, step;
};
template <class T>
__device__ Four<stored<T>>& four(void* reg, Fours n, int i) {
  return *reinterpret_cast<Four<stored<T>>*>(static_cast<u8*>(reg) + i * n.step);
}
// f(i) for the fours of this thread. Past the end of the chain they are computed, too, and not
// stored: whatever lies in a register is a number.
template <class F>
__device__ void each_four(Fours n, F f) {
#pragma unroll 1
  for (int i = threadIdx.x; i < n.count; i += chain_threads) f(i);
}

// y = f(a, b, c) on registers; unused operands are ignored.
using Block = void (*)(void* a, void* b, void* c, void* y, Fours n);

template <class Op, class T>
__device__ void unary(void* a, void*, void*, void* y, Fours n) {
  using R = decltype(Op::value(T()));
  each_four(n, [=](int i) {
    auto x = four<T>(a, n, i);
    Four<stored<R>> r;
    for (int k = 0; k < 4; ++k) r.of[k] = Op::value(loaded<T>(x.of[k]));
    four<R>(y, n, i) = r;
  });
}
template <class Op, class T>
__device__ void binary(void* a, void* b, void*, void* y, Fours n) {
  using R = decltype(Op::value(T(), T()));
  each_four(n, [=](int i) {
    auto u = four<T>(a, n, i), v = four<T>(b, n, i);
    Four<stored<R>> r;
    for (int k = 0; k < 4; ++k) r.of[k] = Op::value(loaded<T>(u.of[k]), loaded<T>(v.of[k]));
    four<R>(y, n, i) = r;
  });
}
template <class Op, class T>
__device__ void ternary(void* c, void* a, void* b, void* y, Fours n) {
  each_four(n, [=](int i) {
    auto w = four<bool>(c, n, i);
    auto u = four<T>(a, n, i), v = four<T>(b, n, i);
    Four<stored<T>> r;
    for (int k = 0; k < 4; ++k)
      r.of[k] = Op::value(w.of[k] != 0, loaded<T>(u.of[k]), loaded<T>(v.of[k]));
    four<T>(y, n, i) = r;
  });
}
template <class From, class To>
__device__ void cast(void* a, void*, void*, void* y, Fours n) {
  each_four(n, [=](int i) {
    auto x = four<From>(a, n, i);
    Four<stored<To>> r;
    for (int k = 0; k < 4; ++k) r.of[k] = converted<From, To>(loaded<From>(x.of[k]));
    four<To>(y, n, i) = r;
  });
}

template <class Op, class T>
__device__ constexpr Block block_of() {
  if constexpr (!in_domain<T, Op::spec.types>())
    return nullptr;
  else if constexpr (Op::arity == 1)
    return &unary<Op, T>;
  else if constexpr (Op::arity == 2)
    return &binary<Op, T>;
  else
    return &ternary<Op, T>;
}
template <class From, class To>
__device__ constexpr Block cast_of() {
  constexpr bool half_in = __is_same(From, Half) || __is_same(From, Bfloat);
  constexpr bool half_out = __is_same(To, Half) || __is_same(To, Bfloat);
  if constexpr ((half_in && !__is_same(To, float)) || (half_out && !__is_same(From, float)))
    return nullptr;
  else
    return &cast<From, To>;
}

struct Row {
  Block of[block_columns];
};
template <class Op>
__device__ constexpr Row row() {
  return {{block_of<Op, bool>(), block_of<Op, u8>(), block_of<Op, u16>(), block_of<Op, unsigned>(),
           block_of<Op, unsigned long>(), block_of<Op, signed char>(), block_of<Op, short>(),
           block_of<Op, int>(), block_of<Op, long>(), nullptr, block_of<Op, float>(),
           block_of<Op, double>(), nullptr, block_of<Op, c64>()}};
}
template <class From>
__device__ constexpr Row cast_row() {
  return {{cast_of<From, bool>(), cast_of<From, u8>(), cast_of<From, u16>(),
           cast_of<From, unsigned>(), cast_of<From, unsigned long>(), cast_of<From, signed char>(),
           cast_of<From, short>(), cast_of<From, int>(), cast_of<From, long>(),
           cast_of<From, Half>(), cast_of<From, float>(), cast_of<From, double>(),
           cast_of<From, Bfloat>(), cast_of<From, c64>()}};
}

template <class U, class B, class T>
struct Table;
template <class... U, class... B, class... T>
struct Table<List<U...>, List<B...>, List<T...>> {
  static constexpr int rows = sizeof...(U) + sizeof...(B) + sizeof...(T) + block_columns;
  struct Rows {
    Row of[rows];
  };
  static __device__ constexpr Rows all() {
    return {{row<U>()..., row<B>()..., row<T>()..., cast_row<bool>(), cast_row<u8>(),
             cast_row<u16>(), cast_row<unsigned>(), cast_row<unsigned long>(),
             cast_row<signed char>(), cast_row<short>(), cast_row<int>(), cast_row<long>(),
             cast_row<Half>(), cast_row<float>(), cast_row<double>(), cast_row<Bfloat>(),
             cast_row<c64>()}};
  }
};
using AllOps = Table<UnaryOps, BinaryOps, TernaryOps>;
__device__ constexpr AllOps::Rows table = AllOps::all();

template <class Index>
__device__ int64_t offset_in(const ChainProgram& p, const ChainInput& in, int64_t i) {
  auto left = static_cast<Index>(i);
  int64_t offset = 0;
  for (int axis = p.axes - 1; axis > 0; --axis) {
    auto size = static_cast<Index>(p.shape[axis]);
    offset += static_cast<int64_t>(left % size) * in.strides[axis];
    left /= size;
  }
  return offset + static_cast<int64_t>(left) * in.strides[0];
}
// Where an input has element `i` of the chain, in elements from its first.
__device__ int64_t element_at(const ChainProgram& p, const ChainInput& in, int64_t i) {
  if (in.reach == Reach::contiguous) return i;
  return p.size < (int64_t{1} << 31) ? offset_in<unsigned>(p, in, i) : offset_in<int64_t>(p, in, i);
}

// Whether elements can be moved four at a time from `p` on.
template <class T>
__device__ bool in_fours(const T* p) {
  return reinterpret_cast<unsigned long>(p) % alignof(Four<T>) == 0;
}

// What a thread block does: its elements of the chain, from `from` on.
struct Piece {
  int64_t from;
  int n;
  Fours fours;
};

template <class T, class Held>
__device__ void hold(void* to, const Piece& piece, int i, const Four<T>& x) {
  Four<Held> held;
  for (int k = 0; k < 4; ++k) held.of[k] = converted<T, Held>(x.of[k]);
  four<Held>(to, piece.fours, i) = held;
}
// Elements wherever they are.
template <class T, class Held>
__device__ __noinline__ void load_strided(const ChainProgram& p, const ChainInput& in, void* to,
                                          const Piece& piece) {
  auto data = static_cast<const T*>(in.data);
  each_four(piece.fours, [&, to](int i) {
    Four<T> x{};
    for (int k = 0; k < 4; ++k)
      if (4 * i + k < piece.n) x.of[k] = data[element_at(p, in, piece.from + 4 * i + k)];
    hold<T, Held>(to, piece, i, x);
  });
}
// The block's elements of an input, into a register. Where they lie side by side all are asked for
// before the first has come.
template <class T, class Held>
__device__ void load_as(const ChainProgram& p, const ChainInput& in, void* to, const Piece& piece) {
  auto from = static_cast<const T*>(in.data) + piece.from;
  if (in.reach == Reach::one) {
    T x = *static_cast<const T*>(in.data);
    return each_four(piece.fours, [&, to](int i) {
      hold<T, Held>(to, piece, i, Four<T>{{x, x, x, x}});
    });
  }
  if (in.reach == Reach::strided || piece.n < 4 * piece.fours.count || !in_fours(from))
    return load_strided<T, Held>(p, in, to, piece);
  constexpr int most = most_chain_items / 4;
  Four<T> x[most];
#pragma unroll
  for (int j = 0; j < most; ++j)
    if (int i = threadIdx.x + j * chain_threads; i < piece.fours.count)
      x[j] = reinterpret_cast<const Four<T>*>(from)[i];
#pragma unroll
  for (int j = 0; j < most; ++j)
    if (int i = threadIdx.x + j * chain_threads; i < piece.fours.count)
      hold<T, Held>(to, piece, i, x[j]);
}
__device__ void load(const ChainProgram& p, const ChainInput& in, void* to, const Piece& piece) {
  if (in.half == 1) return load_as<Half, float>(p, in, to, piece);
  if (in.half == 2) return load_as<Bfloat, float>(p, in, to, piece);
  if (in.size == 1) return load_as<u8, u8>(p, in, to, piece);
  if (in.size == 2) return load_as<u16, u16>(p, in, to, piece);
  if (in.size == 4) return load_as<unsigned, unsigned>(p, in, to, piece);
  load_as<unsigned long, unsigned long>(p, in, to, piece);
}

template <class Held, class T>
__device__ void store_as(const ChainProgram& p, void* from, const Piece& piece) {
  T* out = static_cast<T*>(p.out) + piece.from;
  bool whole = in_fours(out);
  each_four(piece.fours, [=, &piece](int i) {
    auto held = four<Held>(from, piece.fours, i);
    Four<T> y;
    for (int k = 0; k < 4; ++k) y.of[k] = converted<Held, T>(held.of[k]);
    if (whole && 4 * i + 4 <= piece.n)
      reinterpret_cast<Four<T>*>(out)[i] = y;
    else
      for (int k = 0; k < 4; ++k)
        if (4 * i + k < piece.n) out[4 * i + k] = y.of[k];
  });
}
__device__ void store(const ChainProgram& p, void* from, const Piece& piece) {
  if (p.out_half == 1) return store_as<float, Half>(p, from, piece);
  if (p.out_half == 2) return store_as<float, Bfloat>(p, from, piece);
  if (p.out_size == 1) return store_as<u8, u8>(p, from, piece);
  if (p.out_size == 2) return store_as<u16, u16>(p, from, piece);
  if (p.out_size == 4) return store_as<unsigned, unsigned>(p, from, piece);
  store_as<unsigned long, unsigned long>(p, from, piece);
}

__global__ void __launch_bounds__(chain_threads)
    run_chain_kernel(const __grid_constant__ ChainProgram p) {
  extern __shared__ __align__(16) u8 registers[];
  const int per_block = chain_threads * p.items;
  Piece piece{
      static_cast<int64_t>(blockIdx.x) * per_block, per_block, {per_block / 4, 4 * p.reg_bytes}};
  if (p.size - piece.from < per_block) piece.n = static_cast<int>(p.size - piece.from);
  auto reg = [&](int r) { return registers + r * per_block * p.reg_bytes; };
  for (int i = 0; i < p.input_count; ++i) load(p, p.inputs[i], reg(p.inputs[i].reg), piece);
  for (int i = 0; i < p.instructions; ++i) {
    const ChainInstruction& it = p.tape[i];
    Block block = table.of[it.block / block_columns].of[it.block % block_columns];
    block(reg(it.in[0]), reg(it.in[1]), reg(it.in[2]), reg(it.out), piece.fours);
  }
  store(p, reg(p.result), piece);
}

}  // namespace

int first_row_of(int arity) {
  constexpr int first[] = {0, UnaryOps::size, UnaryOps::size + BinaryOps::size,
                           UnaryOps::size + BinaryOps::size + TernaryOps::size};
  return first[arity - 1];
}

void launch_chain(const ChainProgram& p, cudaStream_t stream) {
  int64_t per_block = int64_t{chain_threads} * p.items;
  auto blocks = static_cast<unsigned>((p.size + per_block - 1) / per_block);
  size_t shared = static_cast<size_t>(p.registers) * per_block * p.reg_bytes;
  static const cudaError_t allowed = cudaFuncSetAttribute(
      run_chain_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most_chain_shared);
  (void)allowed;  // a launch that needs it says so
  run_chain_kernel<<<blocks, chain_threads, shared, stream>>>(p);
}

}  // namespace tarn::cuda
