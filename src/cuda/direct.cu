#include "cuda/direct.h"

#include "cuda/launch.cuh"

namespace tarn::cuda {
namespace {

constexpr unsigned threads = 256;
constexpr int looks = 4096;  // at a word before the host is asked, which takes longer

__device__ void send(uint64_t* to, uint64_t word) {
  asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(to), "l"(word) : "memory");
}
__device__ uint64_t look(const uint64_t* at) {
  uint64_t word;
  asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(word) : "l"(at) : "memory");
  return word;
}
// The number, once it is of that turn.
__device__ float awaited(const uint64_t* at, uint32_t turn, const int* stop) {
  for (int looked = 0;; ++looked) {
    uint64_t word = look(at);
    if (static_cast<uint32_t>(word >> 32) == turn)
      return __uint_as_float(static_cast<uint32_t>(word));
    if (looked == looks) {
      if (*static_cast<const volatile int*>(stop) != 0) return 0;
      looked = 0;
    }
  }
}

__global__ void __launch_bounds__(threads) add_up(const __grid_constant__ DirectSum s) {
  wait_for_queue();
  if (s.next_may_begin) let_next_begin();
  uint32_t turn = *s.turn + 1;
  int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x;
  int64_t rows = (turn & 1) * s.ranks;
  if (i < s.count) {
    float mine = s.x[i];
    uint64_t word = uint64_t{turn} << 32 | __float_as_uint(mine);
    for (int r = 0; r < s.ranks; ++r)
      if (r != s.rank) send(s.inbox[r] + (rows + s.rank) * most_direct_numbers + i, word);
    double sum = 0;
    for (int r = 0; r < s.ranks; ++r)
      sum += r == s.rank
                 ? mine
                 : awaited(s.inbox[s.rank] + (rows + r) * most_direct_numbers + i, turn, s.stop);
    s.y[i] = static_cast<float>(sum);
  }
  __syncthreads();  // all have read the turn
  if (threadIdx.x == 0 && atomicAdd(s.turn + 1, 1u) == gridDim.x - 1) {
    s.turn[1] = 0;
    *s.turn = turn;
  }
}

}  // namespace

void launch_direct_sum(const DirectSum& s, cudaStream_t queue) {
  static const bool early = can_begin_early(add_up);
  auto blocks = static_cast<unsigned>((s.count + threads - 1) / threads);
  launch_early(add_up, early, dim3(blocks), threads, 0, queue, s);
}

}  // namespace tarn::cuda
