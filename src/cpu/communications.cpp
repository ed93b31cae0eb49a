// Communications. What every rank has is brought to who adds it up, each rank a part of a block,
// and the results to all; the parts of all ranks are met in rank order. That moves what a ring
// moves, in two steps at any number of ranks, and rounds each result once.
#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/move.h"
#include "cpu/number.h"
#include "distributed/peers.h"
#include "ops/communications.h"

namespace tarn::cpu {
namespace {

using distributed::Peers;
using distributed::Received;
using distributed::Sent;

// What is received beside the result at a time; below `whole_bytes` everybody adds up everything,
// which saves the second step.
constexpr size_t block_bytes = 4 << 20, whole_bytes = 16 << 10;

enum class Fold { sum, max, min };

template <Fold fold, class T>
struct Folded {
  using Sum = std::conditional_t<fold == Fold::sum, Accumulator<T>, T>;
  static Sum begin(T x) {
    if constexpr (fold == Fold::sum)
      return widen(x);
    else
      return x;
  }
  static void meet(Sum& sum, T x) {
    if constexpr (fold == Fold::sum)
      sum = plus(sum, widen(x));
    else if constexpr (fold == Fold::max)
      sum = before(sum, x) ? x : sum;  // NaN is after all others
    else
      sum = is_nan(x) || (!is_nan(sum) && before(x, sum)) ? x : sum;
  }
  static T end(Sum sum) {
    if constexpr (fold != Fold::sum)
      return sum;
    else if constexpr (std::is_same_v<T, bool>)
      return sum != 0;
    else
      return narrow<T>(sum);
  }
};

// to[i] = all ranks' number i.
template <Fold fold, class T>
void fold_ranks(std::span<const T* const> ranks, T* to, size_t n) {
  using F = Folded<fold, T>;
  for (size_t i = 0; i < n; ++i) {
    auto sum = F::begin(ranks[0][i]);
    for (size_t r = 1; r < ranks.size(); ++r) F::meet(sum, ranks[r][i]);
    to[i] = F::end(sum);
  }
}

// Numbers of a rank.
struct Part {
  size_t at, count;
};

// The sums of one communication.
template <Fold fold, class T>
class Reducer {
 public:
  Reducer(Peers& peers, std::string_view what)
      : peers_(peers),
        what_(what),
        ranks_(static_cast<size_t>(peers.size())),
        me_(static_cast<size_t>(peers.rank())) {}

  // part(r) of `from` goes to rank r; the sum of what all ranks have of this rank's comes to `to`.
  template <class Parts>
  void scatter(const T* from, Parts part, T* to) {
    size_t mine = part(me_).count;
    std::vector<Sent> sent(ranks_);
    std::vector<Received> received(ranks_);
    room_.resize(mine * sizeof(T) * ranks_);
    std::vector<const T*> all(ranks_);
    for (size_t r = 0; r < ranks_; ++r) {
      auto [at, count] = part(r);
      sent[r] = std::as_bytes(std::span(from + at, count));
      received[r] = std::span(room_).subspan(r * mine * sizeof(T), mine * sizeof(T));
      all[r] = r == me_ ? from + at : reinterpret_cast<const T*>(received[r].data());
    }
    peers_.exchange(what_, sent, received);
    fold_ranks<fold, T>(all, to, mine);
  }
  // Every rank has its part of `to`; now all have all.
  template <class Parts>
  void gather(T* to, Parts part) {
    auto [at, count] = part(me_);
    std::vector<Sent> sent(ranks_, std::as_bytes(std::span(to + at, count)));
    std::vector<Received> received;
    for (size_t r = 0; r < ranks_; ++r)
      received.push_back(std::as_writable_bytes(std::span(to + part(r).at, part(r).count)));
    peers_.exchange(what_, sent, received);
  }

  void block(const T* from, T* to, size_t n) {
    if (n * sizeof(T) <= whole_bytes)
      return scatter(
          from,
          [n](size_t) {
            return Part{0, n};
          },
          to);
    auto part = [n, this](size_t r) {
      size_t at = n * r / ranks_;
      return Part{at, n * (r + 1) / ranks_ - at};
    };
    scatter(from, part, to + part(me_).at);
    gather(to, part);
  }

 private:
  Peers& peers_;
  std::string_view what_;
  size_t ranks_, me_;
  std::vector<std::byte> room_{};
};

Peers& peers_of(const Step& s) { return *s.params->as<ops::GroupParams>().peers; }

template <Fold fold>
void run_all(const Step& s, int, int) {
  visit_dtype(s.out.dtype, [&]<class T>(T) {
    Reducer<fold, T> reducer(peers_of(s), s.op->name);
    auto n = static_cast<size_t>(s.out.size());
    size_t most = block_bytes / sizeof(T);
    for (size_t at = 0; at < n; at += most)
      reducer.block(s.in[0].as<const T>() + at, s.out.as<T>() + at, std::min(most, n - at));
  });
}

void run_sum_scatter(const Step& s, int, int) {
  visit_dtype(s.out.dtype, [&]<class T>(T) {
    Reducer<Fold::sum, T> reducer(peers_of(s), s.op->name);
    auto n = static_cast<size_t>(s.out.size());
    size_t most = std::max<size_t>(1, block_bytes / sizeof(T));
    for (size_t at = 0; at < n; at += most) {
      size_t count = std::min(most, n - at);
      auto part = [&](size_t r) { return Part{r * n, count}; };
      reducer.scatter(s.in[0].as<const T>() + at, part, s.out.as<T>() + at);
    }
  });
}

Sent bytes_of(const Operand& o) {
  return {o.as<const std::byte>(), static_cast<size_t>(o.size()) * o.dtype.size};
}
Received room_of(const Operand& o) {
  return {o.as<std::byte>(), static_cast<size_t>(o.size()) * o.dtype.size};
}

void run_all_gather(const Step& s, int, int) {
  Peers& peers = peers_of(s);
  Sent mine = bytes_of(s.in[0]);
  std::vector<Sent> sent(static_cast<size_t>(peers.size()), mine);
  std::vector<Received> received;
  for (size_t r = 0; r < sent.size(); ++r)
    received.push_back(room_of(s.out).subspan(r * mine.size(), mine.size()));
  if (!mine.empty())
    std::memcpy(received[static_cast<size_t>(peers.rank())].data(), mine.data(), mine.size());
  peers.exchange(s.op->name, sent, received);
}

// Both are one communication for the check that ranks do the same.
constexpr std::string_view pair_name = "send and recv";

void run_send(const Step& s, int, int) {
  const auto& p = s.params->as<ops::PeerParams>();
  std::vector<Sent> sent(static_cast<size_t>(p.peers->size()));
  std::vector<Received> received(sent.size());
  Sent mine = sent[static_cast<size_t>(p.peer)] = bytes_of(s.in[0]);
  p.peers->exchange(pair_name, sent, received);
  if (!mine.empty()) std::memcpy(s.out.data, mine.data(), mine.size());
}
void run_recv(const Step& s, int, int) {
  const auto& p = s.params->as<ops::Recv::P>();
  std::vector<Received> received(static_cast<size_t>(p.peers->size()));
  received[static_cast<size_t>(p.peer)] = room_of(s.out);
  p.peers->exchange(pair_name, std::vector<Sent>(received.size()), received);
}

}  // namespace

void add_communications(KernelTable& t) {
  t.add(ops::op_of<ops::AllSum>, {.run = run_all<Fold::sum>, .name = "exchange"});
  t.add(ops::op_of<ops::AllMax>, {.run = run_all<Fold::max>, .name = "exchange"});
  t.add(ops::op_of<ops::AllMin>, {.run = run_all<Fold::min>, .name = "exchange"});
  t.add(ops::op_of<ops::SumScatter>, {.run = run_sum_scatter, .name = "exchange"});
  t.add(ops::op_of<ops::AllGather>, {.run = run_all_gather, .name = "exchange"});
  t.add(ops::op_of<ops::Send>, {.run = run_send, .name = "exchange"});
  t.add(ops::op_of<ops::Recv>, {.run = run_recv, .name = "exchange"});
}

}  // namespace tarn::cpu
