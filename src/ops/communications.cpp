// Communications: the rules and the public functions.
#include "ops/communications.h"

#include "base/require.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

distributed::Group group_of(const Params& p) {
  return distributed::Group(p.as<GroupParams>().peers);
}
array recorded(const Op& op, const Params& p, const array& x) { return record(op, p, {x}, {}); }

// Which elements equal the result, each weighted so that equals share it.
array shares(const Call& call) {
  array hit = astype(equal(call.in[0], call.out[0]), call.in[0].dtype());
  return hit / recorded(op_of<AllSum>, call.params, hit);
}
std::vector<Maybe> vjp_of_extreme(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  return {*g[0] * shares(call)};
}
std::vector<Maybe> jvp_of_extreme(const Call& call, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  return {recorded(op_of<AllSum>, call.params, *t[0] * shares(call))};
}
// A communication of rows for a whole batch: the batch moves behind the rows and back.
array of_rows(const Op& op, const Params& p, const array& x) {
  if (x.ndim() == 1) return transpose(recorded(op, p, expand_dims(x, 0)));
  return swapaxes(recorded(op, p, swapaxes(x, 0, 1)), 0, 1);
}

}  // namespace

#define TARN_SAME_SHAPE(Op)                                                   \
  ArraySpec Op::infer(const Params&, std::span<const array> in) {             \
    return {in[0].shape(), in[0].dtype()};                                    \
  }                                                                           \
  Arrays Op::vmap(const Params& p, std::span<const array> in, const Batch&) { \
    return {recorded(op_of<Op>, p, in[0])};                                   \
  }
TARN_SAME_SHAPE(AllSum)
TARN_SAME_SHAPE(AllMax)
TARN_SAME_SHAPE(AllMin)
TARN_SAME_SHAPE(Send)
#undef TARN_SAME_SHAPE

std::vector<Maybe> AllSum::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  return {*g[0]};
}
std::vector<Maybe> AllMax::vjp(const Call& c, std::span<const Maybe> g) {
  return vjp_of_extreme(c, g);
}
std::vector<Maybe> AllMax::jvp(const Call& c, std::span<const Maybe> t) {
  return jvp_of_extreme(c, t);
}
std::vector<Maybe> AllMin::vjp(const Call& c, std::span<const Maybe> g) {
  return vjp_of_extreme(c, g);
}
std::vector<Maybe> AllMin::jvp(const Call& c, std::span<const Maybe> t) {
  return jvp_of_extreme(c, t);
}

ArraySpec SumScatter::infer(const Params& p, std::span<const array> in) {
  Shape shape = in[0].shape();
  shape[0] /= group_of(p).size();
  return {shape, in[0].dtype()};
}
Arrays SumScatter::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {of_rows(op_of<SumScatter>, p, in[0])};
}
std::vector<Maybe> SumScatter::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  return {recorded(op_of<AllGather>, call.params, *g[0])};
}

ArraySpec AllGather::infer(const Params& p, std::span<const array> in) {
  Shape shape = in[0].shape();
  if (shape.empty()) shape.push_back(1);
  shape[0] *= group_of(p).size();
  return {shape, in[0].dtype()};
}
Arrays AllGather::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {of_rows(op_of<AllGather>, p, in[0])};
}
// This rank's rows of the cotangent, which all ranks share.
std::vector<Maybe> AllGather::transpose(const Call& call, const array& g) {
  if (!detail::differentiable(call.in[0])) return {Maybe{}};
  Shape start(g.ndim(), 0), stop = g.shape();
  int64_t rows = g.shape(0) / group_of(call.params).size();
  start[0] = group_of(call.params).rank() * rows;
  stop[0] = start[0] + rows;
  return {reshape(slice(g, start, stop), call.in[0].shape())};
}

ArraySpec Recv::infer(const Params& p, std::span<const array>) {
  return {p.as<P>().shape, p.as<P>().dtype};
}

}  // namespace ops

namespace distributed {
namespace {

using MaybeGroup = std::optional<Group>;

Group known(const MaybeGroup& group) { return group ? *group : init(); }

array over_group(const Op& op, const array& x, const MaybeGroup& asked, StreamOrDevice s) {
  Group group = known(asked);
  if (group.size() == 1) return x;
  return record(op, GroupParams{group.raw_group(), group.has_cards() ? group.size() : 0}, {x}, s);
}

// The group, in which `peer` is another rank.
Group with_peer(const char* who, int peer, const MaybeGroup& asked) {
  Group group = known(asked);
  require(group.size() > 1, "[{}] the group has one rank; there is nobody else.", who);
  require(peer >= 0 && peer < group.size(),
          "[{}] the other rank is {}; the group has ranks 0 to {}.", who, peer, group.size() - 1);
  require(peer != group.rank(), "[{}] rank {} is this process; another one is needed.", who, peer);
  return group;
}

}  // namespace

array all_sum(const array& x, MaybeGroup group, StreamOrDevice s) {
  return over_group(op_of<AllSum>, x, group, s);
}
array all_max(const array& x, MaybeGroup group, StreamOrDevice s) {
  return over_group(op_of<AllMax>, x, group, s);
}
array all_min(const array& x, MaybeGroup group, StreamOrDevice s) {
  return over_group(op_of<AllMin>, x, group, s);
}
array all_gather(const array& x, MaybeGroup group, StreamOrDevice s) {
  return over_group(op_of<AllGather>, x, group, s);
}
array sum_scatter(const array& x, MaybeGroup group, StreamOrDevice s) {
  Group all = known(group);
  require<ShapeError>(x.ndim() > 0 && x.shape(0) % all.size() == 0,
                      "[sum_scatter] x has shape {} and the group {} ranks: axis 0 must be a "
                      "multiple of the ranks.",
                      text_of(x.shape()), all.size());
  return over_group(op_of<SumScatter>, x, all, s);
}
array send(const array& x, int dst, MaybeGroup group, StreamOrDevice s) {
  Group all = with_peer("send", dst, group);
  return record(op_of<Send>, PeerParams{dst, all.raw_group()}, {x}, s);
}
array recv(Shape shape, Dtype dtype, int src, MaybeGroup group, StreamOrDevice s) {
  Group all = with_peer("recv", src, group);
  for (auto d : shape)
    require<ShapeError>(d >= 0, "[recv] the shape is {}; no size may be negative.", text_of(shape));
  return record(op_of<Recv>, Recv::P{src, std::move(shape), dtype, all.raw_group()}, {}, s);
}
array recv_like(const array& x, int src, MaybeGroup group, StreamOrDevice s) {
  return recv(x.shape(), x.dtype(), src, std::move(group), s);
}

}  // namespace distributed
}  // namespace tarn
