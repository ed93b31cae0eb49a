// Attention of up to eight queries a sequence over many keys, as decoding has it. A block takes a
// share of the keys for all heads that read them, so that keys and values are read once; the last
// block of the same heads to end joins the shares.
//
// A lane holds eight numbers of a key, so a warp takes several keys at a time, each lane with the
// softmax so far of its own: the largest score, the sum, and the sum of weighted values. Those are
// joined in an order that does not change. Sums are float.
#include "cuda/launch.cuh"
#include "cuda/numbers.cuh"
#include "cuda/scores.cuh"
#include "cuda/soft.cuh"

namespace tarn::cuda {
namespace {

using namespace soft;

constexpr int warps = 4;
constexpr int threads = 32 * warps;
constexpr int64_t least_keys = 32;  // of a block
constexpr int most_shares = 32;     // of a place, a lane each
constexpr int64_t most_places = 4096;

// How many shares of each place have ended; 0 between launches, which follow each other.
__device__ unsigned ended[most_places];

template <class T>
__device__ void load_part(const void* p, int64_t at, float (&to)[part]) {
  constexpr int words = part * sizeof(T) / 16;
  union {
    uint4 words[part * sizeof(T) / 16];
    T numbers[part];
  } x;
  for (int i = 0; i < words; ++i)
    x.words[i] = reinterpret_cast<const uint4*>(static_cast<const T*>(p) + at)[i];
#pragma unroll
  for (int i = 0; i < part; ++i) to[i] = read_as<float, T>(x.numbers, i);
}

// The top, the sum and the values' columns of a share.
template <int dim>
struct Share {
  float top, sum, of[dim];
};

// The block's place: heads of one query that share keys.
struct Heads {
  int batch, kv, query, first, count;
};
__device__ Heads heads_of(const AttentionCall& c) {
  const int kv_heads = static_cast<int>(c.kv_heads), queries = static_cast<int>(c.queries);
  const int group = static_cast<int>(c.q_heads) / kv_heads;
  const int pieces = (group + most_heads - 1) / most_heads;
  int at = static_cast<int>(blockIdx.y);
  Heads h;
  h.first = at % pieces * most_heads;
  h.count = group - h.first < most_heads ? group - h.first : most_heads;
  at /= pieces;
  h.query = at % queries;
  at /= queries;
  h.kv = at % kv_heads, h.batch = at / kv_heads;
  h.first += h.kv * group;
  return h;
}

// What a lane holds of a key and its value.
struct Pair {
  float key[part], value[part];
};
template <class T, int dim, int heads>
class Attender {
 public:
  static constexpr int lanes = dim / part, at_a_time = 32 / lanes;

  __device__ Attender(const AttentionCall& c, const Heads& h) : c_(c), h_(h) {
    lane_ = threadIdx.x % 32;
    const int column = lane_ % lanes * part;
    place_ = place_of(c, h.batch, h.first, h.query);
    place_.k += column, place_.v += column;
#pragma unroll
    for (int g = 0; g < heads; ++g) {
      int64_t from = place_.q + column + (g < h.count ? g : 0) * c.q_at[1];
#pragma unroll
      for (int i = 0; i < part; ++i)
        query_[g][i] = c.type == float_column ? static_cast<const float*>(c.q)[from + i]
                                              : read_number<float>(c.q, c.type, from + i);
    }
  }
  // The share of this block; the next keys are on their way while those before are looked at.
  __device__ void attend(Softmax (&soft)[heads]) {
    const int length = static_cast<int>(*c_.number), shares = static_cast<int>(gridDim.x);
    const int each = (length + shares - 1) / shares, from = each * static_cast<int>(blockIdx.x);
    const int to = from + each < length ? from + each : length;
    constexpr int step = warps * at_a_time;
    int key = from + static_cast<int>(threadIdx.x / 32) * at_a_time;
    if (key >= to) return;
    Pair now, next = read(key, to);
    for (; key < to; key += step) {
      now = next;
      if (key + step < to) next = read(key + step, to);
      look(now, key + lane_ / lanes, to, length, soft);
    }
  }

 private:
  __device__ Pair read(int first, int to) const {
    int key = first + lane_ / lanes;
    if (key >= to) key = to - 1;
    Pair p;
    load_part<T>(c_.k, place_.k + key * c_.k_at[2], p.key);
    load_part<T>(c_.v, place_.v + key * c_.v_at[2], p.value);
    return p;
  }
  __device__ void look(const Pair& p, int key, int to, int length, Softmax (&soft)[heads]) const {
#pragma unroll
    for (int g = 0; g < heads; ++g) {
      float sum = 0;
#pragma unroll
      for (int i = 0; i < part; ++i) sum += query_[g][i] * p.key[i];
      sum = over_lanes<lanes>(sum);
      Place mine = place_;
      mine.mask += g * c_.mask_at[1];
      if (key < to && g < h_.count) soft[g].add(score_of(c_, mine, length, sum, key), p.value);
    }
  }

  const AttentionCall& c_;
  const Heads& h_;
  Place place_{};
  int lane_ = 0;
  float query_[heads][part];
};

// The softmax of a block's share of one head, from those of its warps.
template <int dim>
__device__ void join_warps(const Share<dim>* of_warps, int step, Share<dim>* to) {
  float top = none;
  for (int w = 0; w < warps; ++w) top = math::max(top, of_warps[w * step].top);
  for (int i = threadIdx.x; i <= dim; i += threads) {
    float sum = 0;
    for (int w = 0; w < warps; ++w) {
      const auto& s = of_warps[w * step];
      sum += factor_of(s.top, top) * (i < dim ? s.of[i] : s.sum);
    }
    (i < dim ? to->of[i] : to->sum) = sum;
  }
  if (threadIdx.x == 0) to->top = top;
}
// Whether this block is the last of its place; it sees what the others wrote.
__device__ bool is_last() {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(&ended[blockIdx.y], 1) + 1 == gridDim.x;
    if (last) ended[blockIdx.y] = 0;
  }
  __syncthreads();
  if (last) __threadfence();
  return last;
}
// What each share of a head counts in its result, a lane a share.
template <int dim>
__device__ void weigh_shares(const AttentionCall& c, int64_t head, const Share<dim>* shares,
                             float* weights) {
  const int lane = threadIdx.x % 32, count = static_cast<int>(gridDim.x);
  float sink = c.sinks ? static_cast<const float*>(c.sinks)[head] : none;
  float mine = lane < count ? __ldcg(&shares[lane].top) : none;
  float sum = lane < count ? __ldcg(&shares[lane].sum) : 0.f, top = math::max(mine, sink);
  for (int step = 16; step > 0; step /= 2) top = math::max(top, __shfl_xor_sync(~0u, top, step));
  float factor = factor_of(mine, top), all = factor * sum;
  for (int step = 16; step > 0; step /= 2) all += __shfl_xor_sync(~0u, all, step);
  weights[lane] = factor / (all + factor_of(sink, top));
}
// The place's result, from all its shares.
template <int dim>
__device__ void finish(const AttentionCall& c, const Heads& h, const Share<dim>* shares) {
  __shared__ float weights[most_heads][most_shares];
  const int count = static_cast<int>(gridDim.x);
  for (int g = threadIdx.x / 32; g < h.count; g += warps)
    weigh_shares(c, h.first + g, shares + g * count, weights[g]);
  __syncthreads();
  for (int at = threadIdx.x; at < h.count * dim; at += threads) {
    int g = at / dim, i = at % dim;
    float sum = 0;
#pragma unroll 8
    for (int s = 0; s < count; ++s) sum += weights[g][s] * __ldcg(&shares[g * count + s].of[i]);
    int64_t out = (static_cast<int64_t>(h.batch) * c.q_heads + h.first + g) * c.queries + h.query;
    write_number(c.out, c.type, out * dim + i, sum);
  }
}

template <class T, int dim, int heads>
__global__ void __launch_bounds__(threads) attend(const __grid_constant__ AttentionCall c) {
  constexpr int lanes = dim / part;
  __shared__ Share<dim> of_warps[warps][heads];
  wait_for_queue();
  let_next_begin();
  Heads h = heads_of(c);
  Softmax soft[heads];
  Attender<T, dim, heads>(c, h).attend(soft);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int g = 0; g < heads; ++g) {
    join_lanes<lanes>(soft[g]);
    Share<dim>& mine = of_warps[warp][g];
    if (lane >= lanes) continue;
    for (int i = 0; i < part; ++i) mine.of[lane * part + i] = soft[g].of[i];
    if (lane == 0) mine.top = soft[g].top, mine.sum = soft[g].sum;
  }
  __syncthreads();
  auto* shares = static_cast<Share<dim>*>(c.scratch) +
                 static_cast<int64_t>(blockIdx.y) * most_heads * gridDim.x;
  for (int g = 0; g < h.count; ++g)
    join_warps<dim>(&of_warps[0][g], heads, shares + g * gridDim.x + blockIdx.x);
  if (!is_last()) return;
  finish<dim>(c, h, shares);
}

int64_t places_of(const AttentionCall& c) {
  int64_t group = c.q_heads / c.kv_heads;
  return c.batch * c.kv_heads * c.queries * ((group + most_heads - 1) / most_heads);
}
int64_t shares_of(const AttentionCall& c, int processors) {
  int64_t wanted = processors / places_of(c), most = c.capacity / least_keys;
  if (wanted > most_shares) wanted = most_shares;
  if (wanted > most) wanted = most;
  return wanted < 1 ? 1 : wanted;
}

template <class T, int dim, int heads>
void launch_heads(const AttentionCall& c, dim3 grid, cudaStream_t queue) {
  static const bool early = can_begin_early(attend<T, dim, heads>);
  launch_early(attend<T, dim, heads>, early, grid, threads, 0, queue, c);
}
template <class T, int dim>
void launch(const AttentionCall& c, dim3 grid, cudaStream_t queue) {
  with_heads(c, [&]<int heads>() { launch_heads<T, dim, heads>(c, grid, queue); });
}
template <class T>
void launch_dim(const AttentionCall& c, dim3 grid, cudaStream_t queue) {
  if (c.key_dim == 64) return launch<T, 64>(c, grid, queue);
  if (c.key_dim == 128) return launch<T, 128>(c, grid, queue);
  launch<T, 256>(c, grid, queue);
}

}  // namespace

bool few_queries_fit(const AttentionCall& c) {
  bool dim = c.key_dim == 64 || c.key_dim == 128 || c.key_dim == 256;
  return dim && c.value_dim == c.key_dim && c.queries <= 8 && in_parts(c) &&
         places_of(c) <= most_places;
}
size_t few_queries_scratch(const AttentionCall& c, int processors) {
  return static_cast<size_t>(places_of(c) * most_heads * shares_of(c, processors) *
                             (c.value_dim + 2)) *
         sizeof(float);
}
void launch_few_queries(const AttentionCall& c, int processors, cudaStream_t queue) {
  dim3 grid(static_cast<unsigned>(shares_of(c, processors)), static_cast<unsigned>(places_of(c)));
  with_float_type(c.kv_type, [&]<class T>(T) { launch_dim<T>(c, grid, queue); });
}

}  // namespace tarn::cuda
