// Attention's factors in bfloat16, and its derivative on the tensor cores of cards of compute
// capability 9.0.
#include "cuda/attention_back.cuh"

namespace tarn::cuda {
namespace {

using namespace back;

// --- rounding

constexpr int round_threads = 256, each = 8;

template <class From>
__device__ void read_eight(const From* from, float (&x)[each]) {
  constexpr unsigned lines = sizeof(From) * each / 16;
  union {
    uint4 line[lines];
    From number[each];
  } u;
  if (reinterpret_cast<uintptr_t>(from) % 16 == 0) {
    for (unsigned i = 0; i < lines; ++i) u.line[i] = reinterpret_cast<const uint4*>(from)[i];
  } else {
    for (int i = 0; i < each; ++i) u.number[i] = from[i];
  }
  for (int i = 0; i < each; ++i) x[i] = wide(u.number[i]);
}
__global__ void round_heads(const __grid_constant__ RoundCall call) {
  const HeadsToRound& h = call.of[blockIdx.y];
  const int64_t i = static_cast<int64_t>(blockIdx.x) * round_threads + threadIdx.x;
  const int64_t pieces = h.dim / each, row = i / pieces, head = row / h.rows;
  if (head >= h.batch * h.heads) return;
  const int64_t from = head / h.heads * h.at[0] + head % h.heads * h.at[1] +
                       row % h.rows * h.at[2] + i % pieces * each;
  float x[each];
  if (h.type == float_column)
    read_eight(static_cast<const float*>(h.from) + from, x);
  else
    read_eight(static_cast<const T*>(h.from) + from, x);
  static_cast<uint4*>(h.to)[i] = {pair_of<T>(x[0], x[1]), pair_of<T>(x[2], x[3]),
                                  pair_of<T>(x[4], x[5]), pair_of<T>(x[6], x[7])};
}

// --- the derivative

__host__ __device__ inline int tiles_of(int64_t n, int each) {
  return static_cast<int>((n + each - 1) / each);
}
__host__ __device__ inline int64_t told_rows(const AttentionBackCall& c) {
  return int64_t{tiles_of(c.queries, block_rows)} * block_rows;
}

#ifdef TARN_WARPGROUPS
// What both kernels begin with; `each` then walks, in the warpgroups that do.
template <int dim, bool of_keys, class Each>
__device__ void in_block(const AttentionBackCall& c, const Walk& w, Each each) {
  extern __shared__ char shared[];
  __shared__ Turns turns;
  const Room<dim> room{(group::address_of(shared) + 1023) / 1024 * 1024};
  if (threadIdx.x == 0) turns.set();
  __syncthreads();
  if (threadIdx.x >= consumers * group::threads) {
    group::leave_registers<40>();
    bring<dim, of_keys>(w, room, turns);
  } else {
    group::take_registers<232>();
    Walker<dim, of_keys> walker(c, w, room, turns);
    each(walker);
  }
}
// The heads of a block, of all batch items, and what it walks over but for its first row and steps.
struct Heads {
  int64_t batch, head, q_first, kv_first;
};
__device__ Walk walk_of(const AttentionBackCall& c, const Heads& h, int dim, bool of_keys) {
  const int64_t q_at = h.q_first * c.queries * dim, kv_at = h.kv_first * c.keys * dim;
  const T* queries[2] = {static_cast<const T*>(c.q) + q_at, static_cast<const T*>(c.g) + q_at};
  const T* keys[2] = {static_cast<const T*>(c.k) + kv_at, static_cast<const T*>(c.v) + kv_at};
  Walk w{};
  for (int which = 0; which < 2; ++which) {
    w.rows[which] = of_keys ? keys[which] : queries[which];
    w.columns[which] = of_keys ? queries[which] : keys[which];
  }
  w.row_count = static_cast<int>(of_keys ? c.keys : c.queries);
  w.column_count = static_cast<int>(of_keys ? c.queries : c.keys);
  w.shift = static_cast<int>(c.keys - c.queries), w.causal = c.causal;
  return w;
}
#endif

// The blocks that take longest come first.
template <int dim>
__global__ void __launch_bounds__(threads, 1)
    back_to_queries(const __grid_constant__ AttentionBackCall c) {
#ifdef TARN_WARPGROUPS
  const int64_t heads = c.batch * c.q_heads, all = blockIdx.x % heads,
                sharing = c.q_heads / c.kv_heads;
  Heads h{all / c.q_heads, all % c.q_heads, all, 0};
  h.kv_first = h.batch * c.kv_heads + h.head / sharing;
  Walk w = walk_of(c, h, dim, false);
  w.first_row =
      (tiles_of(c.queries, block_rows) - 1 - static_cast<int>(blockIdx.x / heads)) * block_rows;
  const int end = w.first_row + block_rows + w.shift;
  w.tiles = tiles_of(c.causal && end < w.column_count ? end : w.column_count, columns);
  w.steps = 2 * w.tiles;
  in_block<dim, false>(c, w, [&](auto& walker) {
    walker.walk_twice(c.rows + all * told_rows(c), c.dq,
                      h.batch * c.batch_step + h.head * c.queries * dim);
  });
#endif
}
template <int dim>
__global__ void __launch_bounds__(threads, 1)
    back_to_keys(const __grid_constant__ AttentionBackCall c) {
#ifdef TARN_WARPGROUPS
  const int64_t heads = c.batch * c.kv_heads, all = blockIdx.x % heads,
                sharing = c.q_heads / c.kv_heads;
  const Heads h{all / c.kv_heads, all % c.kv_heads, all * sharing, all};
  Walk w = walk_of(c, h, dim, true);
  w.told_size = told_rows(c), w.told = c.rows + h.q_first * w.told_size;
  w.first_row = static_cast<int>(blockIdx.x / heads) * block_rows;
  const int first = w.first_row - w.shift;
  w.first_tile = c.causal && first > 0 ? first / columns : 0;
  w.tiles = tiles_of(w.column_count, columns) - w.first_tile;
  w.steps = w.tiles * static_cast<int>(sharing);
  in_block<dim, true>(c, w, [&](auto& walker) {
    walker.walk(c.dk, c.dv, h.batch * c.batch_step + h.head * c.keys * dim);
  });
#endif
}

template <int dim>
void launch(void (*kernel)(AttentionBackCall), int64_t blocks, const AttentionBackCall& c,
            cudaStream_t queue) {
  constexpr int bytes = Sizes<dim>::bytes;
  // A launch that needs it says so.
  (void)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  kernel<<<static_cast<unsigned>(blocks), threads, bytes, queue>>>(c);
}
template <int dim>
void launch_both(const AttentionBackCall& c, cudaStream_t queue) {
  launch<dim>(back_to_queries<dim>, c.batch * c.q_heads * tiles_of(c.queries, block_rows), c,
              queue);
  launch<dim>(back_to_keys<dim>, c.batch * c.kv_heads * tiles_of(c.keys, block_rows), c, queue);
}

}  // namespace

size_t rounded_bytes(const HeadsToRound& h) {
  return static_cast<size_t>(h.batch * h.heads * h.rows * h.dim) * sizeof(T);
}
void launch_round(const RoundCall& c, cudaStream_t queue) {
  int64_t most = 0;
  for (int i = 0; i < c.count; ++i) {
    const HeadsToRound& h = c.of[i];
    const int64_t pieces = h.batch * h.heads * h.rows * h.dim / each;
    most = pieces > most ? pieces : most;
  }
  const dim3 grid(static_cast<unsigned>((most + round_threads - 1) / round_threads),
                  static_cast<unsigned>(c.count));
  round_heads<<<grid, round_threads, 0, queue>>>(c);
}

bool attention_back_fits(const AttentionBackCall& c, int major) {
#ifdef TARN_SM_90A
  constexpr int64_t most = int64_t{1} << 30;
  return major == 9 && (c.dim == 64 || c.dim == 128) && c.scale > 0 && c.queries > 0 &&
         c.keys < most;
#else
  (void)c, (void)major;
  return false;
#endif
}
size_t attention_back_rows(const AttentionBackCall& c) {
  return static_cast<size_t>(c.batch * c.q_heads * told_rows(c));
}
void launch_attention_back(const AttentionBackCall& c, cudaStream_t queue) {
  c.dim == 64 ? launch_both<64>(c, queue) : launch_both<128>(c, queue);
}

}  // namespace tarn::cuda
