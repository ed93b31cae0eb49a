// Groups whose ranks have a card each. The ranks know each other by sockets or MPI already; by
// those they agree on NCCL's id, and what is not on a card goes there as before.
#include <cuda_runtime_api.h>

#include <cstring>
#include <utility>
#include <vector>

#include "base/require.h"
#include "cuda/cards.h"
#include "cuda/compiled.h"
#include "cuda/device.h"

namespace tarn::distributed {
namespace {

using cuda::nccl;

class WithCards final : public Peers {
 public:
  WithCards(std::shared_ptr<Peers> hosts, Cards& cards) : hosts_(std::move(hosts)), cards_(cards) {}
  int rank() const override { return hosts_->rank(); }
  int size() const override { return hosts_->size(); }
  void exchange(std::string_view what, std::span<const Sent> sent,
                std::span<const Received> received) override {
    hosts_->exchange(what, sent, received);
  }
  Cards* cards() const override { return &cards_; }
  int gone() override { return hosts_->gone(); }

 private:
  std::shared_ptr<Peers> hosts_;
  Cards& cards_;
};

// What each rank tells the others before NCCL connects them.
struct Ready {
  enum : int { no_card, no_library, yes } state = no_card;
  cudaUUID_t card{};
  cuda::NcclId id{};  // rank 0's is taken
};

Ready readiness(int rank) {
  Ready r;
  if (!cuda::card()) return r;
  r.card = cuda::card()->id;
  r.state = nccl() ? Ready::yes : Ready::no_library;
  if (rank == 0 && nccl()) nccl()->make_id(&r.id);
  return r;
}
void check_ready(const std::vector<Ready>& all) {
  for (size_t r = 0; r < all.size(); ++r) {
    require<DeviceError>(all[r].state != Ready::no_card,
                         "[init] nccl needs a GPU in each process, and rank {} has none: use the "
                         "backend ring, which goes through the host.",
                         r);
    require<DeviceError>(all[r].state == Ready::yes,
                         "[init] rank {} does not find libnccl.so.2: install NCCL, put its folder "
                         "into LD_LIBRARY_PATH, or use the backend ring.",
                         r);
    for (size_t before = 0; before < r; ++before)
      require<DeviceError>(std::memcmp(&all[before].card, &all[r].card, sizeof all[r].card) != 0,
                           "[init] ranks {} and {} have the same GPU, which NCCL does not allow: "
                           "start as many ranks as there are GPUs, or say which by TARN_GPU.",
                           before, r);
  }
}

}  // namespace

bool nccl_is_there() { return cuda::card() && nccl(); }

std::shared_ptr<Peers> connect_nccl(std::shared_ptr<Peers> ranks) {
  std::vector<Ready> all = of_all(*ranks, "init", readiness(ranks->rank()));
  check_ready(all);
  auto* cards = new Cards;
  cards->rank = ranks->rank(), cards->size = ranks->size();
  cards->hosts = ranks;
  int result = nccl()->init(&cards->communicator, cards->size, all[0].id, cards->rank);
  require<DeviceError>(result == cuda::nccl_success,
                       "[init] NCCL does not connect the GPUs: {} ({}). NCCL_DEBUG=INFO says more.",
                       nccl()->error_text(result), nccl()->last_error(nullptr));
  cuda::connect_directly(*cards, *ranks);
  cuda::watch(*cards);
  cuda::compile_at_once();
  return std::make_shared<WithCards>(std::move(ranks), *cards);
}

}  // namespace tarn::distributed
