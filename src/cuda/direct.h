// Sums of few numbers over the cards of a machine, by memory that all of them write to.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tarn::cuda {

inline constexpr int most_direct_cards = 8;
inline constexpr int64_t most_direct_numbers = 16384;

// Each card has an inbox: a word for each number of each rank, twice, for turns that alternate. A
// word is a number and the turn it is of, so that it says itself when it has arrived. A rank is two
// turns ahead of another never: it needs the other's numbers of each.
struct DirectSum {
  const float* x = nullptr;
  float* y = nullptr;
  int64_t count = 0;
  uint64_t* inbox[most_direct_cards] = {};  // of each rank, by addresses of this card
  int rank = 0, ranks = 1;
  uint32_t* turn = nullptr;     // of this card; behind it how many blocks are done
  const int* stop = nullptr;    // of the host: not to be waited for any more
  bool next_may_begin = false;  // y is read by nothing that is prefetched
};
inline constexpr int64_t inbox_words(int ranks) { return 2 * ranks * most_direct_numbers; }
void launch_direct_sum(const DirectSum& sum, cudaStream_t queue);

}  // namespace tarn::cuda
