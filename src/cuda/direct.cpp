#include "cuda/direct.h"

#include <algorithm>
#include <vector>

#include "cuda/cards.h"
#include "cuda/device.h"

namespace tarn::cuda {
namespace {

struct Offer {
  bool usable = false;
  cudaIpcMemHandle_t inbox{};
};

// Words for the inbox, and one more for DirectSum::turn.
uint64_t* make_inbox(int ranks) {
  size_t bytes = sizeof(uint64_t) * static_cast<size_t>(inbox_words(ranks) + 1);
  void* p = nullptr;
  check(cudaMalloc(&p, bytes), "cudaMalloc");
  check(cudaMemsetAsync(p, 0, bytes, queue()), "cudaMemset");
  check(cudaStreamSynchronize(queue()), "cudaMemset");
  return static_cast<uint64_t*>(p);
}
// Null where the ranks are on machines of their own, or their cards not connected.
uint64_t* opened(const Offer& offer) {
  void* p = nullptr;
  if (offer.usable &&
      cudaIpcOpenMemHandle(&p, offer.inbox, cudaIpcMemLazyEnablePeerAccess) == cudaSuccess)
    return static_cast<uint64_t*>(p);
  cudaGetLastError();
  return nullptr;
}

}  // namespace

void connect_directly(Cards& cards, distributed::Peers& ranks) {
  check(cudaHostAlloc(reinterpret_cast<void**>(&cards.stop), sizeof(int), cudaHostAllocMapped),
        "cudaHostAlloc");
  *cards.stop = 0;
  if (cards.size > most_direct_cards) return;
  DirectSum sum;
  sum.rank = cards.rank, sum.ranks = cards.size, sum.stop = cards.stop;
  uint64_t* mine = make_inbox(cards.size);
  sum.turn = reinterpret_cast<uint32_t*>(mine + inbox_words(cards.size));
  Offer offer;
  offer.usable = cudaIpcGetMemHandle(&offer.inbox, mine) == cudaSuccess;
  auto offers = distributed::of_all(ranks, "init", offer);
  bool all_opened = offer.usable;
  for (int r = 0; r < cards.size; ++r) {
    sum.inbox[r] = r == cards.rank ? mine : opened(offers[static_cast<size_t>(r)]);
    all_opened = all_opened && sum.inbox[r];
  }
  auto answers = distributed::of_all(ranks, "init", all_opened ? 1 : 0);
  if (std::ranges::count(answers, 1) == cards.size) cards.direct = sum;
}

}  // namespace tarn::cuda
