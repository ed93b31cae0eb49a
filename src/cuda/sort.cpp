// Sorts, partitions, searches and random bits: steps turned into calls of kernels.
#include "cuda/sort.h"

#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/compound.h"
#include "ops/movement.h"

namespace tarn::cuda {
namespace {

KeyOrder order_of(Dtype t) {
  KeyOrder o;
  if (t != bool_ && !issubdtype(t, unsignedinteger)) o.sign = uint64_t{1} << (8 * t.size - 1);
  o.real = issubdtype(t, floating);
  o.infinity = t == float16    ? 0x7c00
               : t == bfloat16 ? 0x7f80
               : t == float32  ? 0x7f800000
                               : 0x7ff0000000000000;
  return o;
}

template <bool places>
SortCall call_of(const Step& s) {
  const auto& p = s.params->as<ops::SortParams>();
  auto axis = static_cast<size_t>(p.axis);
  const Operand& in = s.in[0];
  Shape lines = in.shape;
  lines[axis] = 1;
  SortCall c;
  for (auto d : lines) c.lines *= d;
  c.from = strided(lines, in.strides), c.to = strided(lines, s.out.strides);
  c.each = in.shape[axis], c.from_step = in.strides[axis], c.to_step = s.out.strides[axis];
  c.kth = p.kth;
  c.order = order_of(in.dtype), c.bytes = in.dtype.size;
  c.places = places;
  return c;
}
bool is_whole(const Step& s) { return s.params->as<ops::SortParams>().kth < 0; }
int64_t length(const Step& s) {
  return s.out.shape[static_cast<size_t>(s.params->as<ops::SortParams>().axis)];
}
// Places are 32 bits wide, and sorts count in int.
bool takes_any(const Step& s) {
  return s.in[0].dtype != complex64 && s.in[0].shape.size() <= most_axes &&
         s.out.size() <= INT32_MAX;
}
bool takes_partition(const Step& s) { return takes_any(s) && !is_whole(s); }
bool takes_long_partition(const Step& s) {
  return takes_partition(s) && is_long_partition(call_of<true>(s));
}
bool takes_short(const Step& s) {
  return takes_any(s) && is_whole(s) && length(s) <= most_of_block;
}
bool takes_long(const Step& s) { return takes_any(s) && is_whole(s); }

template <bool places, void (*launch)(const SortCall&, cudaStream_t)>
void run_sort(const Step& s, int, int) {
  if (s.out.size() == 0) return;
  SortCall c = call_of<places>(s);
  c.x = s.in[0].data, c.y = s.out.data, c.scratch = s.scratch;
  launch(c, queue());
  check(cudaGetLastError(), "a launch");
}
template <size_t (*bytes)(const SortCall&)>
size_t scratch_of(const Step& s, int) {
  use_card();
  return s.out.size() == 0 ? 0 : bytes(call_of<true>(s));
}
template <bool places>
void add_sort(KernelTable& t, const Op& op) {
  t.add(op, {.run = run_sort<places, launch_long_partition>,
             .fits = takes_long_partition,
             .accepts = Accepts::any,
             .scratch = scratch_of<long_partition_scratch>,
             .name = "blocks a line"});
  t.add(op, {.run = run_sort<places, launch_partition>,
             .fits = takes_partition,
             .accepts = Accepts::any,
             .name = "a block a line"});
  t.add(op, {.run = run_sort<places, launch_short_sort>,
             .fits = takes_short,
             .accepts = Accepts::any,
             .name = "a block a line, by digits"});
  t.add(op, {.run = run_sort<places, launch_long_sort>,
             .fits = takes_long,
             .accepts = Accepts::any,
             .scratch = scratch_of<long_sort_scratch>,
             .name = "by digits"});
}

void run_search(const Step& s, int, int) {
  SearchCall c;
  c.line = s.in[0].data, c.value = s.in[1].data, c.y = s.out.as<unsigned>();
  c.count = s.out.size(), c.of_line = s.out.shape[1], c.each = s.in[0].shape[1];
  c.order = order_of(s.in[0].dtype), c.bytes = s.in[0].dtype.size;
  c.right = s.params->as<ops::SearchSorted::P>().right;
  if (c.count > 0) launch_search(c, queue());
  check(cudaGetLastError(), "a launch");
}

void run_random_bits(const Step& s, int, int) {
  const auto& p = s.params->as<ops::RandomBits::P>();
  RandomCall c;
  c.key = s.in[0].as<const unsigned>(), c.y = s.out.data;
  c.keys = s.in[0].size() / 2, c.each = p.width;
  for (auto d : p.shape) c.each *= d;
  launch_random_bits(c, queue());
  check(cudaGetLastError(), "a launch");
}

}  // namespace

void add_sorts(KernelTable& t) {
  using namespace ops;
  add_sort<true>(t, op_of<ArgSort>);
  add_sort<false>(t, op_of<Sort>);
  t.add(op_of<SearchSorted>, {.run = run_search,
                              .fits = [](const Step& s) { return s.in[0].dtype != complex64; },
                              .name = "bisection"});
  t.add(op_of<RandomBits>, {.run = run_random_bits, .name = "threefry"});
}

}  // namespace tarn::cuda
