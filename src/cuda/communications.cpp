// Communications between cards. Few float32 are added up by a kernel of our own, since NCCL's takes
// longer than the products beside it. Where a sum of NCCL's has the bits that adding up in rank
// order gives, as of whole numbers and of two ranks, it is NCCL's; otherwise each rank gets what
// all have, or all have of its part, and folds that as the reductions do. `send` and `recv` go
// through the host: here a send that nobody receives would stop the queue.
#include <algorithm>

#include "cuda/cards.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/reduce.h"
#include "cuda/table.h"
#include "ops/communications.h"

namespace tarn::cuda {
namespace {

// Below this everybody folds everything, which saves the second step.
constexpr size_t whole_bytes = 64 << 10;

const ops::GroupParams& group_of(const Step& s) { return s.params->as<ops::GroupParams>(); }
size_t ranks_of(const Step& s) { return static_cast<size_t>(group_of(s).cards); }
Cards& cards_of(const Step& s) { return *group_of(s).peers->cards(); }
bool on_cards(const Step& s) { return group_of(s).cards > 1; }

size_t count_of(const Operand& o) { return static_cast<size_t>(o.size()); }
size_t bytes_of(const Operand& o) { return count_of(o) * static_cast<size_t>(o.dtype.size); }

bool whole_numbers(const Step& s) {
  return nccl_type(s.out.dtype) && issubdtype(s.out.dtype, integer);
}
bool sums_itself(const Step& s) {
  return on_cards(s) && (whole_numbers(s) || (nccl_type(s.out.dtype) && group_of(s).cards == 2));
}
// NCCL's extremes of floats pass over NaN.
bool compares_itself(const Step& s) { return on_cards(s) && whole_numbers(s); }
bool folds(const Step& s) { return on_cards(s) && s.out.dtype != complex64; }

bool sums_directly(const Step& s) {
  return on_cards(s) && s.out.dtype == float32 && s.out.size() <= most_direct_numbers;
}

template <NcclOp op>
void run_all_reduce(const Step& s, int, int) {
  if (s.out.size() == 0) return;
  CommunicationCalls calls(cards_of(s), s.op->name);
  calls.check(calls.library().all_reduce(s.in[0].data, s.out.data, count_of(s.out),
                                         *nccl_type(s.out.dtype), op, cards_of(s).communicator,
                                         queue()));
}
void run_reduce_scatter(const Step& s, int, int) {
  if (s.out.size() == 0) return;
  CommunicationCalls calls(cards_of(s), s.op->name);
  calls.check(calls.library().reduce_scatter(s.in[0].data, s.out.data, count_of(s.out),
                                             *nccl_type(s.out.dtype), nccl_sum,
                                             cards_of(s).communicator, queue()));
}

void gather(const Step& s, const void* mine, void* all, size_t bytes) {
  CommunicationCalls calls(cards_of(s), s.op->name);
  calls.check(
      calls.library().all_gather(mine, all, bytes, nccl_bytes, cards_of(s).communicator, queue()));
}
void run_all_gather(const Step& s, int, int) {
  if (s.out.size() > 0) gather(s, s.in[0].data, s.out.data, bytes_of(s.in[0]));
}

// Bytes that a rank has of an array that ranks share.
struct Part {
  size_t at = 0, bytes = 0;
};
Part part_of(const Operand& all, size_t rank, size_t ranks) {
  auto size = static_cast<size_t>(all.dtype.size);
  size_t begin = count_of(all) * rank / ranks, end = count_of(all) * (rank + 1) / ranks;
  return {begin * size, (end - begin) * size};
}
// sent(r) goes to rank r and received(r) comes from it, of this rank, too, if it is elsewhere.
template <class Sent, class Received>
void exchange(const Step& s, Sent sent, Received received) {
  CommunicationCalls calls(cards_of(s), s.op->name);
  const Nccl& n = calls.library();
  calls.check(n.begin_group());
  for (size_t r = 0; r < ranks_of(s); ++r) {
    auto [from, out_bytes] = sent(r);
    auto [to, in_bytes] = received(r);
    auto other = static_cast<int>(r);
    if (static_cast<const void*>(from) == to) continue;
    if (out_bytes > 0)
      calls.check(n.send(from, out_bytes, nccl_bytes, other, cards_of(s).communicator, queue()));
    if (in_bytes > 0)
      calls.check(n.recv(to, in_bytes, nccl_bytes, other, cards_of(s).communicator, queue()));
  }
  calls.check(n.end_group());
}

// y[i] = all rows' number i; the rows lie one after the other.
void fold_rows(const Step& s, Fold fold, const void* rows, void* y, size_t bytes) {
  Dtype t = s.out.dtype;
  auto count = static_cast<int64_t>(bytes) / t.size, ranks = static_cast<int64_t>(ranks_of(s));
  if (count == 0) return;
  FoldCall c;
  c.x = rows, c.y = y;
  c.kept = strided({count}, {1});
  c.folded = strided({ranks}, {count});
  c.outputs = count, c.each = ranks;
  c.from = c.to = column(t);
  c.fold = t == bool_ && fold == Fold::sum ? Fold::max : fold;
  c.in = fold_in(t);
  launch_fold(c, queue());
  check(cudaGetLastError(), "a launch");
}

bool in_parts(const Step& s) { return bytes_of(s.out) > whole_bytes; }
// Of each rank what it has: of all, or of this rank's part.
size_t rows_bytes(const Step& s, int) {
  size_t ranks = ranks_of(s), bytes = bytes_of(s.out);
  return in_parts(s) ? bytes + ranks * static_cast<size_t>(s.out.dtype.size) * ranks
                     : bytes * ranks;
}
template <Fold fold>
void run_fold(const Step& s, int, int) {
  size_t bytes = bytes_of(s.out), ranks = ranks_of(s);
  if (bytes == 0) return;
  auto* rows = static_cast<std::byte*>(s.scratch);
  if (!in_parts(s)) {
    gather(s, s.in[0].data, rows, bytes);
    return fold_rows(s, fold, rows, s.out.data, bytes);
  }
  auto part = [&](size_t r) { return part_of(s.out, r, ranks); };
  Part mine = part(static_cast<size_t>(cards_of(s).rank));
  const auto* x = s.in[0].as<const std::byte>();
  auto* y = s.out.as<std::byte>();
  exchange(
      s, [&](size_t r) { return std::pair(x + part(r).at, part(r).bytes); },
      [&](size_t r) { return std::pair(rows + r * mine.bytes, mine.bytes); });
  fold_rows(s, fold, rows, y + mine.at, mine.bytes);
  exchange(
      s, [&](size_t) { return std::pair(y + mine.at, mine.bytes); },
      [&](size_t r) { return std::pair(y + part(r).at, part(r).bytes); });
}

size_t scattered_bytes(const Step& s, int) { return bytes_of(s.in[0]); }
void run_scatter(const Step& s, int, int) {
  size_t bytes = bytes_of(s.out);
  if (bytes == 0) return;
  auto* rows = static_cast<std::byte*>(s.scratch);
  const auto* x = s.in[0].as<const std::byte>();
  exchange(
      s, [&](size_t r) { return std::pair(x + r * bytes, bytes); },
      [&](size_t r) { return std::pair(rows + r * bytes, bytes); });
  fold_rows(s, Fold::sum, rows, s.out.data, bytes);
}

// A plan may come again with a group whose cards do not see each other.
void run_direct(const Step& s, int worker, int workers) {
  if (s.out.size() == 0) return;
  DirectSum sum = cards_of(s).direct;
  if (sum.ranks == 1) return run_fold<Fold::sum>(s, worker, workers);
  CommunicationCalls calls(cards_of(s), s.op->name);
  sum.x = s.in[0].as<const float>(), sum.y = s.out.as<float>(), sum.count = s.out.size();
  // Factors of codes, which products prefetch, have more than a row.
  sum.next_may_begin = !s.out.shape.empty() && s.out.shape.back() == s.out.size();
  launch_direct_sum(sum, queue());
  check(cudaGetLastError(), "a launch");
}

template <Fold fold>
Kernel fold_kernel() {
  return {.run = run_fold<fold>, .fits = folds, .scratch = rows_bytes, .name = "exchange and fold"};
}

}  // namespace

void add_communications(KernelTable& t) {
  using namespace ops;
  Kernel direct{.run = run_direct, .fits = sums_directly, .scratch = rows_bytes, .name = "direct"};
  t.add(op_of<AllSum>, direct);
  t.add(op_of<AllSum>, {.run = run_all_reduce<nccl_sum>, .fits = sums_itself, .name = "nccl"});
  t.add(op_of<AllSum>, fold_kernel<Fold::sum>());
  t.add(op_of<AllMax>, {.run = run_all_reduce<nccl_max>, .fits = compares_itself, .name = "nccl"});
  t.add(op_of<AllMax>, fold_kernel<Fold::max>());
  t.add(op_of<AllMin>, {.run = run_all_reduce<nccl_min>, .fits = compares_itself, .name = "nccl"});
  t.add(op_of<AllMin>, fold_kernel<Fold::min>());
  t.add(op_of<SumScatter>, {.run = run_reduce_scatter, .fits = sums_itself, .name = "nccl"});
  Kernel scatter{.run = run_scatter, .fits = folds, .scratch = scattered_bytes};
  scatter.name = "exchange and fold";
  t.add(op_of<SumScatter>, scatter);
  t.add(op_of<AllGather>, {.run = run_all_gather, .fits = on_cards, .name = "nccl"});
}

}  // namespace tarn::cuda
