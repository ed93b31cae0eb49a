// Sample calls for communications: in a group of one, whose laws are those of any function. What
// several ranks do is in tests/distributed.
#pragma once

#include <algorithm>
#include <memory>

#include "distributed/peers.h"
#include "laws/samples.h"
#include "ops/communications.h"

namespace tarn::laws {

// Another rank, which takes everything and sends zeros.
class SilentPeer final : public distributed::Peers {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  void exchange(std::string_view, std::span<const distributed::Sent>,
                std::span<const distributed::Received> received) override {
    std::ranges::fill(received[1], std::byte{0});
  }
};

inline void add_communications(Table& t) {
  auto over_group = [](Dtype d) {
    ops::GroupParams alone{distributed::alone()};
    return std::vector<Sample>{{"(3,4)", alone, {numbers({3, 4}, d)}, {0}},
                               {"a row", alone, {numbers({37}, d)}, {0}},
                               {"nothing", alone, {numbers({2, 0}, d)}, {0}}};
  };
  for (const char* name : {"all_sum", "all_max", "all_min", "sum_scatter", "all_gather"})
    t[name] = {numbers_, over_group};
  auto silent = std::make_shared<SilentPeer>();
  t["send"] = {numbers_, [silent](Dtype d) {
                 return std::vector<Sample>{
                     {"to the other", ops::PeerParams{1, silent}, {numbers({3, 4}, d)}}};
               }};
  t["recv"] = {
      numbers_, [silent](Dtype d) {
        return std::vector<Sample>{{"of the other", ops::Recv::P{1, {3, 4}, d, silent}, {}}};
      }};
}

}  // namespace tarn::laws
