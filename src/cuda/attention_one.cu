// Attention of one query a sequence, as decoding has it, with what stands in front of it: queries
// and the new key are turned, and the new key and value appended to the cache.
//
// A cluster of blocks takes the heads that share keys. Keys are dealt to its blocks and warps in
// turn; a lane holds eight columns of one, and asks for several at once. Softmaxes are joined in an
// order that does not change: over a warp's lanes, over warps in shared memory, over blocks in that
// of the block which writes the columns. Sums are float.
#include <cmath>

#include "cuda/attention_join.cuh"
#include "cuda/launch.cuh"

namespace tarn::cuda {
namespace {

using namespace one_query;

// The kernel's code is read from afar each time, since products stand between two attentions: what
// is not a loop over registers is not unrolled.
template <class T, int dim, int heads>
class Attender {
 public:
  static constexpr int lanes = dim / part, at_a_time = 32 / lanes;
  static constexpr int unrolled = sizeof(T) == 2 && heads <= 4 ? 4 : 2;
  static constexpr int pairs = dim / 2;
  // Shared by the block.
  struct Room {
    alignas(16) float query[heads][dim];
    alignas(16) T key[dim], value[dim];
    Totals<dim, heads> of_warps[warps];
  };

  __device__ Attender(const OneQueryCall& o, const Heads& h, Room& room)
      : o_(o), c_(o.call), h_(h), room_(room) {
    const int column = lane_ % lanes * part;
    first_key_ = h.batch * c_.k_at[0] + h.kv * c_.k_at[1];
    first_value_ = h.batch * c_.v_at[0] + h.kv * c_.v_at[1];
    keys_ = static_cast<const T*>(c_.k) + first_key_ + column;
    values_ = static_cast<const T*>(c_.v) + first_value_ + column;
    length_ = static_cast<int>(c_.number[length]);
    if (!c_.new_key) return;
    fresh_ = static_cast<int>(c_.number[key_place]);
    fresh_value_ = static_cast<int>(c_.number[value_place]);
  }

  // Before the queue's turn: what does not wait for it.
  __device__ void prepare() {
    const int pair = static_cast<int>(threadIdx.x) % pairs;
    if (2 * pair < c_.turn.dims) {
      const double rate =
          c_.turn.freqs ? __drcp_rn(c_.turn.freqs[pair]) * c_.turn.scale : o_.rates[pair];
      query_angle_ = angle_of(rate, c_.number[query_position]);
      key_angle_ = query_angle_;
      if (c_.new_key && c_.number[key_position] != c_.number[query_position])
        key_angle_ = angle_of(rate, c_.number[key_position]);
    }
#pragma unroll 1
    for (int u = 0; u < unrolled; ++u) {
      int key = key_of(0, u);
      if (key >= length_) break;
      asm volatile("prefetch.global.L2 [%0];" ::"l"(keys_ + key * c_.k_at[2]));
      asm volatile("prefetch.global.L2 [%0];" ::"l"(values_ + key * c_.v_at[2]));
    }
  }
  // Queries, the new key and its value, as they count, for the block.
  __device__ void take_in() {
    constexpr float to_powers = 1.4426950408889634f;
    const int pair = static_cast<int>(threadIdx.x) % pairs;
    const float scale = c_.scale * to_powers;
    const float* q =
        static_cast<const float*>(c_.q) + h_.batch * c_.q_at[0] + h_.first * c_.q_at[1];
#pragma unroll 1
    for (int g = static_cast<int>(threadIdx.x) / pairs; g < heads; g += threads / pairs)
      turn_pair(c_.turn, q + (g < h_.count ? g : 0) * c_.q_at[1], pair, query_angle_,
                [&](int column, float x) { room_.query[g][column] = x * scale; });
    if (c_.new_key) take_new(pair);
    __syncthreads();
  }
  __device__ void attend() {
    const int at_once = key_of(0, unrolled) - key_of(0, 0);
#pragma unroll 1
    for (int first = 0; first < length_; first += at_once) look(first);
    join_lanes();
    Totals<dim, heads>& mine = room_.of_warps[threadIdx.x / 32];
    if (lane_ < lanes)
#pragma unroll
      for (int g = 0; g < heads; ++g) {
        for (int i = 0; i < part; ++i) mine.of[g][lane_ * part + i] = of_[g][i];
        if (lane_ == 0) mine.top[g] = top_[g], mine.sum[g] = sum_[g];
      }
    __syncthreads();
  }

 private:
  __device__ void take_new(int pair) {
    const int row = static_cast<int>(threadIdx.x) / pairs;
    if (row > 1) return;
    const float* from = row == 0 ? c_.new_key : c_.new_value;
    const int64_t* at = row == 0 ? c_.new_key_at : c_.new_value_at;
    from += h_.batch * at[0] + h_.kv * at[1];
    T* cache =
        row == 0
            ? static_cast<T*>(const_cast<void*>(c_.k)) + first_key_ + fresh_ * c_.k_at[2]
            : static_cast<T*>(const_cast<void*>(c_.v)) + first_value_ + fresh_value_ * c_.v_at[2];
    T* shared = row == 0 ? room_.key : room_.value;
    turn_pair(c_.turn, from, pair, row == 0 ? key_angle_ : Angle{}, [&](int column, float x) {
      T rounded = narrow<T>(x);
      shared[column] = rounded;
      if (h_.appends) cache[column] = rounded;
    });
  }
  __device__ int key_of(int first, int u) const {
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int warp = static_cast<int>(threadIdx.x / 32);
    return first + ((u * warps + warp) * blocks + block) * at_a_time + lane_ / lanes;
  }
  // The next keys of the lane, from `first` on.
  __device__ void look(int first) {
    if (key_of(first, 0) - lane_ / lanes >= length_) return;
    Part<T> keys[unrolled], values[unrolled];
#pragma unroll
    for (int u = 0; u < unrolled; ++u) {
      const int key = key_of(first, u), at = key < length_ ? key : 0;
      keys[u] = load(keys_ + at * c_.k_at[2]), values[u] = load(values_ + at * c_.v_at[2]);
    }
    // The new ones are not in memory yet.
#pragma unroll
    for (int u = 0; u < unrolled; ++u) {
      const int key = key_of(first, u), column = lane_ % lanes * part;
      if (key == fresh_) keys[u] = load(room_.key + column);
      if (key == fresh_value_) values[u] = load(room_.value + column);
    }
#pragma unroll
    for (int g = 0; g < heads; ++g) {
      const Part<float> query = load(room_.query[g] + lane_ % lanes * part);
      float scores[unrolled], higher = top_[g];
#pragma unroll
      for (int u = 0; u < unrolled; ++u) {
        const float sum = score(query, keys[u]);  // by all lanes, also for keys past the end
        scores[u] = key_of(first, u) < length_ ? sum : 2 * none_so_far;
        higher = scores[u] > higher ? scores[u] : higher;
      }
      const float before = power(top_[g] - higher);
      top_[g] = higher;
      sum_[g] *= before;
#pragma unroll
      for (int i = 0; i < part; ++i) of_[g][i] *= before;
#pragma unroll
      for (int u = 0; u < unrolled; ++u) {
        const float weight = power(scores[u] - higher);
        sum_[g] += weight;
#pragma unroll
        for (int i = 0; i < part; ++i) of_[g][i] += weight * wide(values[u].of[i]);
      }
    }
  }
  static __device__ float score(const Part<float>& query, const Part<T>& key) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < part; ++i) sum += query.of[i] * wide(key.of[i]);
    return over_lanes<lanes>(sum);
  }
  // Joins the keys that a warp took at a time.
  __device__ void join_lanes() {
#pragma unroll
    for (int g = 0; g < heads; ++g)
#pragma unroll
      for (int step = lanes; step < 32; step *= 2) {
        const float other = __shfl_xor_sync(~0u, top_[g], step);
        const float top = other > top_[g] ? other : top_[g];
        const float mine = power(top_[g] - top), theirs = power(other - top);
        sum_[g] = sum_[g] * mine + __shfl_xor_sync(~0u, sum_[g], step) * theirs;
#pragma unroll
        for (int i = 0; i < part; ++i)
          of_[g][i] = of_[g][i] * mine + __shfl_xor_sync(~0u, of_[g][i], step) * theirs;
        top_[g] = top;
      }
  }

  const OneQueryCall& o_;
  const AttentionCall& c_;
  const Heads& h_;
  Room& room_;
  const int lane_ = threadIdx.x % 32;
  int64_t first_key_ = 0, first_value_ = 0;
  const T *keys_ = nullptr, *values_ = nullptr;
  int length_ = 0, fresh_ = -1, fresh_value_ = -1;
  Angle query_angle_{}, key_angle_{};
  float top_[heads], sum_[heads] = {}, of_[heads][part] = {};

 public:
  __device__ void start() {
#pragma unroll
    for (float& top : top_) top = none_so_far;
  }
};

template <class T, int dim, int heads>
__global__ void __launch_bounds__(threads, 2) attend(const __grid_constant__ OneQueryCall c) {
  using Of = Attender<T, dim, heads>;
  extern __shared__ __align__(16) char shared[];
  auto& room = *reinterpret_cast<typename Of::Room*>(shared);
  auto& parts = *reinterpret_cast<Parts<dim, heads>*>(shared + sizeof room);
  arrive_at_cluster();  // nothing is sent to a block that is not there yet
  const Heads h = heads_of<heads>(c);
  Of attender(c, h, room);
  attender.start();
  attender.prepare();
  wait_for_queue();
  let_next_begin();
  attender.take_in();
  attender.attend();
  wait_for_cluster();
  send<dim, heads>(room.of_warps, parts);
  arrive_at_cluster();
  wait_for_cluster();
  finish<dim, heads>(c.call, h, parts);
}

// A power of two, so that columns are dealt evenly.
unsigned shares_of(int64_t places, int processors) {
  unsigned shares = most_shares;
  while (shares > 1 && shares * places > 2 * processors) shares /= 2;
  return shares;
}
OneQueryCall one_query_call(const AttentionCall& c, int heads) {
  OneQueryCall o;
  o.call = c;
  o.group = static_cast<int>(c.q_heads / c.kv_heads), o.pieces = (o.group + heads - 1) / heads;
  for (int i = 0; i < c.turn.dims / 2; ++i)
    o.rates[i] = double{c.turn.scale} * std::pow(double{c.turn.base}, -2.0 * i / c.turn.dims);
  return o;
}
template <class T, int dim, int heads>
void launch_heads(const AttentionCall& c, int processors, cudaStream_t queue) {
  auto kernel = attend<T, dim, heads>;
  constexpr size_t bytes =
      sizeof(typename Attender<T, dim, heads>::Room) + sizeof(Parts<dim, heads>);
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  (void)allowed;  // a launch that needs it says so
  const OneQueryCall o = one_query_call(c, heads);
  const int64_t places = c.kv_heads * o.pieces;
  const unsigned shares = shares_of(c.batch * places, processors);
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {shares, 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shares, static_cast<unsigned>(places), static_cast<unsigned>(c.batch));
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = bytes, config.stream = queue;
  config.attrs = attributes, config.numAttrs = c.early ? 2 : 1;
  cudaLaunchKernelEx(&config, kernel, o);  // the caller asks for the last error
}
template <class T, int dim>
void launch(const AttentionCall& c, int processors, cudaStream_t queue) {
  with_heads(c, [&]<int heads>() { launch_heads<T, dim, heads>(c, processors, queue); });
}
template <class T>
void launch_dim(const AttentionCall& c, int processors, cudaStream_t queue) {
  if (c.key_dim == 64) return launch<T, 64>(c, processors, queue);
  launch<T, 128>(c, processors, queue);
}

}  // namespace

bool one_query_fits(const AttentionCall& c, int major) {
  constexpr int64_t most_places = 4096;
  return major >= 9 && (c.key_dim == 64 || c.key_dim == 128) && c.value_dim == c.key_dim &&
         c.queries == 1 && c.type == float_column && c.softcap <= 0 && c.window <= 0 &&
         c.masked == Mask::none && in_parts(c) && c.q_heads <= most_places &&
         c.batch <= most_places;
}
void launch_one_query(const AttentionCall& c, int processors, cudaStream_t queue) {
  with_float_type(c.kv_type, [&]<class T>(T) { launch_dim<T>(c, processors, queue); });
}

}  // namespace tarn::cuda
