// Attention of many queries on the tensor cores of cards of compute capability 9.0: a block takes
// 128 queries of a head, and tiles of keys and values pass through its shared memory.
#include <algorithm>

#include "cuda/attention_many.cuh"

#include "cuda/numbers.cuh"

namespace tarn::cuda {
namespace {

using namespace many_queries;

// Heads whose keys and values the second cache holds come first, and of those the rows that take
// longest.
constexpr int64_t cached_bytes = 24 << 20;
struct Order {
  unsigned tiles = 1;    // of 128 queries
  unsigned section = 1;  // heads, of all sequences, that come together
  unsigned heads = 1;
};

#ifdef TARN_WARPGROUPS
__device__ Task task_of(const AttentionCall& c, const Order& o, int keys) {
  const unsigned each = o.section * o.tiles, first = blockIdx.x / each * o.section;
  const unsigned inside = blockIdx.x % each;
  const unsigned heads = o.heads - first < o.section ? o.heads - first : o.section;
  const unsigned head = first + inside % heads, q_heads = static_cast<unsigned>(c.q_heads);
  Task t;
  t.batch = static_cast<int>(head / q_heads), t.head = static_cast<int>(head % q_heads);
  t.kv_head = t.head / static_cast<int>(q_heads / static_cast<unsigned>(c.kv_heads));
  t.first_row = static_cast<int>(o.tiles - 1 - inside / heads) * block_rows;
  t.length = static_cast<int>(*c.number);
  const int position = t.length - static_cast<int>(c.queries) + t.first_row;
  int end = t.length, start = 0;
  // A row of which a mask hides all has every key, those before and behind it, too.
  if (c.masked == Mask::none && c.causal && position + block_rows < end)
    end = position + block_rows;
  if (c.masked == Mask::none && c.window > 0 && position - c.window + 1 > 0)
    start = position - static_cast<int>(c.window) + 1;
  t.first_key = start / keys * keys;
  t.tiles = (end - t.first_key + keys - 1) / keys;
  return t;
}
#endif

template <class T, int dim, int terms, bool general>
__global__ void __launch_bounds__(threads, 1)
    attend_many(const __grid_constant__ AttentionCall c, const __grid_constant__ Order order) {
#ifdef TARN_WARPGROUPS
  using Size = Sizes<T, dim, terms>;
  extern __shared__ char room[];
  __shared__ Turns<Size::stages> turns;
  const unsigned queries = (group::address_of(room) + 1023) / 1024 * 1024;
  const unsigned tiles = queries + terms * Size::query_bytes;
  if (threadIdx.x == 0) turns.set();
  __syncthreads();
  const Task task = task_of(c, order, Size::keys);
  if (threadIdx.x >= consumers * group::threads) {
    group::leave_registers<40>();
    Bringer<T, dim, terms>(c, task, tiles, turns).bring(task);
  } else {
    group::take_registers<232>();
    Attender<T, dim, terms, general>(c, task, queries, tiles, turns).attend();
  }
#endif
}

template <class T, int dim, int terms, bool general>
void launch(const AttentionCall& c, cudaStream_t queue) {
  constexpr int bytes = Sizes<T, dim, terms>::bytes;
  auto kernel = attend_many<T, dim, terms, general>;
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  (void)allowed;  // a launch that needs it says so
  const int64_t heads = c.batch * c.q_heads, sharing = c.q_heads / c.kv_heads;
  const int64_t of_keys = c.capacity * dim * 2 * 2;
  const int64_t section = std::clamp(cached_bytes / of_keys * sharing, sharing, heads);
  Order o;
  o.tiles = static_cast<unsigned>((c.queries + block_rows - 1) / block_rows);
  o.section = static_cast<unsigned>(section), o.heads = static_cast<unsigned>(heads);
  const unsigned blocks = o.tiles * o.heads;
  kernel<<<blocks, threads, bytes, queue>>>(c, o);
}
template <class T, int dim, int terms>
void launch_terms(const AttentionCall& c, cudaStream_t queue) {
  const bool plain = c.masked == Mask::none && c.softcap == 0 && c.scale > 0;
  plain ? launch<T, dim, terms, false>(c, queue) : launch<T, dim, terms, true>(c, queue);
}
template <class T, int dim>
void launch_dim(const AttentionCall& c, cudaStream_t queue) {
  c.type == float_column ? launch_terms<T, dim, 2>(c, queue) : launch_terms<T, dim, 1>(c, queue);
}
template <class T>
void launch_type(const AttentionCall& c, cudaStream_t queue) {
  if (c.key_dim == 64) return launch_dim<T, 64>(c, queue);
  if (c.key_dim == 128) return launch_dim<T, 128>(c, queue);
  launch_dim<T, 256>(c, queue);
}

}  // namespace

bool many_queries_fit(const AttentionCall& c, int major) {
#ifdef TARN_SM_90A
  const bool dim = c.key_dim == 64 || c.key_dim == 128 || c.key_dim == 256;
  const bool types = c.kv_type != float_column && (c.type == float_column || c.type == c.kv_type);
  constexpr int64_t most = int64_t{1} << 30;
  return major == 9 && dim && c.value_dim == c.key_dim && types && c.capacity < most &&
         c.queries < most && c.queries <= c.capacity;
#else
  (void)c, (void)major;
  return false;
#endif
}
void launch_many_queries(const AttentionCall& c, cudaStream_t queue) {
  if (c.kv_type == half_column) return launch_type<ops::Half>(c, queue);
  launch_type<ops::Bfloat>(c, queue);
}

}  // namespace tarn::cuda
