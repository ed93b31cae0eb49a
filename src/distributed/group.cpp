#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "base/require.h"
#include "distributed/peers.h"
#include "tarn/device.h"

namespace tarn::distributed {
namespace {

class Alone final : public Peers {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void exchange(std::string_view, std::span<const Sent>, std::span<const Received>) override {}
};

class SomeOf final : public Peers {
 public:
  SomeOf(std::shared_ptr<Peers> all, std::vector<int> members)
      : all_(std::move(all)), members_(std::move(members)) {
    auto mine = std::ranges::find(members_, all_->rank());
    rank_ = static_cast<int>(mine - members_.begin());
  }
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }
  void exchange(std::string_view what, std::span<const Sent> sent,
                std::span<const Received> received) override {
    auto n = static_cast<size_t>(all_->size());
    std::vector<Sent> to(n);
    std::vector<Received> from(n);
    for (size_t i = 0; i < members_.size(); ++i) {
      to[static_cast<size_t>(members_[i])] = sent[i];
      from[static_cast<size_t>(members_[i])] = received[i];
    }
    all_->exchange(what, to, from);
  }
  int gone() override {
    auto place = std::ranges::find(members_, all_->gone());
    return place == members_.end() ? -1 : static_cast<int>(place - members_.begin());
  }

 private:
  std::shared_ptr<Peers> all_;
  std::vector<int> members_;
  int rank_ = 0;
};

struct Engine {
  const char* name;
  bool (*started)();
  std::shared_ptr<Peers> (*connect)();
};
constexpr Engine engines[] = {{"ring", started_as_ring, connect_ring},
                              {"mpi", started_by_mpi, connect_mpi}};

void check_name(const std::string& bk) {
  for (const char* known : {"any", "mpi", "ring", "nccl", "jaccl"})
    if (bk == known) return;
  fail("[init] the backend is \"{}\"; it must be any, mpi, ring, nccl or jaccl.", bk);
}

// Engines that were connected, by name; "any" is the first of them.
struct Connected {
  std::mutex mutex{};
  std::map<std::string, std::shared_ptr<Peers>> by_name{};
};
// Never destroyed: a thread may communicate while the program ends.
Connected& connected() {
  static auto* const it = new Connected;
  return *it;
}

// What "any" is: what the environment says, as `tarn launch --backend nccl` has it say.
std::string chosen(const std::string& bk) {
  const char* any = std::getenv("TARN_DISTRIBUTED");
  if (bk != "any" || !any) return bk;
  check_name(any);
  return any;
}

std::shared_ptr<Peers> connect_hosts(const std::string& bk) {
  for (const Engine& engine : engines) {
    if ((bk != "any" && bk != engine.name) || !engine.started()) continue;
    auto& peers = connected().by_name[engine.name];
    if (!peers) peers = engine.connect();
    return peers;
  }
  return nullptr;
}
std::shared_ptr<Peers> connect(const std::string& bk) {
  std::lock_guard lock(connected().mutex);
  if (bk != "nccl") return connect_hosts(bk);
  auto hosts = connect_hosts("any");
  if (!hosts || hosts->size() == 1) return hosts;
  auto& peers = connected().by_name[bk];
  if (!peers) peers = connect_nccl(std::move(hosts));
  return peers;
}

}  // namespace

std::shared_ptr<Peers> alone() {
  static const auto one = std::make_shared<Alone>();
  return one;
}
std::shared_ptr<Peers> some_of(std::shared_ptr<Peers> all, std::vector<int> members) {
  return std::make_shared<SomeOf>(std::move(all), std::move(members));
}

int Group::rank() const { return peers_->rank(); }
int Group::size() const { return peers_->size(); }
bool Group::has_cards() const { return peers_->cards() != nullptr; }

Group Group::split(int color, int key) const {
  require(color >= 0, "[split] the colour is {}; it must not be negative.", color);
  synchronize();  // what async_eval was given comes first, on every rank
  struct Choice {
    int color, key, rank;
  };
  Choice mine{color, key < 0 ? rank() : key, rank()};
  std::vector<Choice> all = of_all(*peers_, "split", mine);
  std::erase_if(all, [&](const Choice& c) { return c.color != color; });
  std::ranges::stable_sort(all, {}, &Choice::key);
  if (all.size() == 1) return Group(alone());
  std::vector<int> members;
  for (const auto& c : all) members.push_back(c.rank);
  auto some = some_of(peers_, std::move(members));
  return Group(peers_->cards() ? connect_nccl(std::move(some)) : std::move(some));
}

bool is_available() { return is_available("any"); }
bool is_available(const std::string& bk) {
  check_name(bk);
  return ((bk == "any" || bk == "mpi") && mpi_is_there()) ||
         ((bk == "any" || bk == "ring") && started_as_ring()) || (bk == "nccl" && nccl_is_there());
}

Group init(bool strict, const std::string& bk) {
  check_name(bk);
  if (auto peers = connect(chosen(bk))) return Group(std::move(peers));
  require<DeviceError>(!strict || (bk != "nccl" && bk != "jaccl") || is_available(bk),
                       "[init] the backend {} is not here; mpi and ring are.", bk);
  require<DeviceError>(
      !strict,
      "[init] this process was started alone, not by backend {}: start the program "
      "with `tarn launch -n N PROGRAM`.",
      bk);
  return Group(alone());
}
Group init(bool strict, const std::string& bk, AllGatherFactory) {
  require(bk == "jaccl", "[init] a factory is for the backend jaccl, not for {}.", bk);
  return init(strict, bk);
}
void clear_backends() {
  std::lock_guard lock(connected().mutex);
  connected().by_name.clear();
}

}  // namespace tarn::distributed
