// Random numbers: MLX's definitions on threefry bits.
#include "tarn/random.h"

#include <atomic>
#include <chrono>
#include <limits>

#include "ops/compound.h"

namespace tarn {

using namespace ops;

namespace ops {

ArraySpec RandomBits::infer(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  Shape shape(in[0].shape().begin(), in[0].shape().end() - 1);
  shape.insert(shape.end(), p.shape.begin(), p.shape.end());
  return {shape, p.width == 1 ? uint8 : p.width == 2 ? uint16 : uint32};
}
// Every key of the batch fills its own row.
Arrays RandomBits::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {record(op_of<RandomBits>, p, {in[0]}, {})};
}

}  // namespace ops

namespace random {
namespace {

// The time, and a counter so that two threads starting together differ.
uint64_t unseeded() {
  static std::atomic<uint64_t> threads{0};
  auto now = std::chrono::system_clock::now().time_since_epoch();
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  return static_cast<uint64_t>(ms) + (threads++ << 32);
}

array checked_key(const std::optional<array>& k) {
  if (!k) return KeySequence::default_().next();
  require(k->dtype() == uint32, "[random] the key is {}; it must be uint32.", name_of(k->dtype()));
  require<ShapeError>(k->shape() == Shape{2}, "[random] the key has shape {}; it must be (2,).",
                      text_of(k->shape()));
  return *k;
}
double below_one(Dtype t) {
  return t == float16 ? 0.99951171875 : t == bfloat16 ? 0.99609375 : 0x1.fffffep-1;
}

}  // namespace

array key(uint64_t seed) {
  return array({static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(seed)});
}
KeySequence::KeySequence(uint64_t s) : state_(key(s)) {}
void KeySequence::seed(uint64_t s) { state_ = key(s); }
// The first half of the split is the state from then on, the second is used.
array KeySequence::next() {
  if (!state_) state_ = key(unseeded());
  auto [keep, use] = random::split(*state_);
  keep.eval();
  state_ = keep;
  return use;
}
KeySequence& KeySequence::default_() {
  thread_local KeySequence sequence;
  return sequence;
}
void seed(uint64_t s) { KeySequence::default_().seed(s); }

array bits(const Shape& shape, int width, const std::optional<array>& k, StreamOrDevice s) {
  require(width == 1 || width == 2 || width == 4, "[bits] width is {}; it must be 1, 2 or 4.",
          width);
  for (auto d : shape)
    require<ShapeError>(d >= 0, "[bits] shape {} has a negative size.", text_of(shape));
  return record(op_of<RandomBits>, RandomBits::P{shape, width}, {checked_key(k)}, s);
}
array split(const array& k, int num, StreamOrDevice s) { return bits(Shape{num, 2}, 4, k, s); }
std::pair<array, array> split(const array& k, StreamOrDevice s) {
  array both = random::split(k, 2, s);
  return {squeeze(slice(both, {0, 0}, {1, 2}, s), 0, s),
          squeeze(slice(both, {1, 0}, {2, 2}, s), 0, s)};
}

array uniform(const array& low, const array& high, const Shape& shape, Dtype dtype,
              const std::optional<array>& k, StreamOrDevice s) {
  require(issubdtype(dtype, floating) && dtype != float64,
          "[uniform] dtype is {}; it must be float32, float16 or bfloat16.", name_of(dtype));
  // MLX rounds every step to the half that is asked for; a chain would keep float32 in between.
  auto rounded = [&](const array& x) { return astype(astype(x, dtype, s), float32, s); };
  array lo = rounded(low), range = rounded(subtract(rounded(high), lo, s));
  require<ShapeError>(broadcast_shapes(shape, range.shape()) == shape,
                      "[uniform] low {} and high {} do not broadcast to {}.", text_of(low.shape()),
                      text_of(high.shape()), text_of(shape));
  array u = divide(astype(bits(shape, 4, k, s), float32, s),
                   array(static_cast<float>(std::numeric_limits<uint32_t>::max())), s);
  u = rounded(minimum(u, array(static_cast<float>(below_one(dtype))), s));
  return astype(add(rounded(multiply(range, u, s)), lo, s), dtype, s);
}
array uniform(const Shape& shape, Dtype dtype, const std::optional<array>& k, StreamOrDevice s) {
  return uniform(array(0.0f), array(1.0f), shape, dtype, k, s);
}
array uniform(const Shape& shape, const std::optional<array>& k, StreamOrDevice s) {
  return uniform(shape, float32, k, s);
}

array normal(const Shape& shape, Dtype dtype, float loc, float scale, const std::optional<array>& k,
             StreamOrDevice s) {
  array low = array(-0x1.fffffep-1f);  // the float above -1
  array u = uniform(low, array(1.0f), shape, float32, k, s);
  array n = astype(erfinv(u, s), dtype, s);
  n = multiply(n, array(1.4142135623730951 * double{scale}, dtype), s);
  return loc == 0 ? n : add(n, array(double{loc}, dtype), s);
}
array normal(const Shape& shape, Dtype dtype, const std::optional<array>& k, StreamOrDevice s) {
  return normal(shape, dtype, 0, 1, k, s);
}
array normal(const Shape& shape, const std::optional<array>& k, StreamOrDevice s) {
  return normal(shape, float32, 0, 1, k, s);
}

array randint(const array& low, const array& high, const Shape& shape, Dtype dtype,
              const std::optional<array>& k, StreamOrDevice s) {
  require(issubdtype(dtype, integer), "[randint] dtype is {}; it must be an integer.",
          name_of(dtype));
  array u = uniform(low, high, shape, float32, k, s);
  array drawn = astype(maximum(u, low, s), dtype, s);
  return minimum(drawn, subtract(astype(high, dtype, s), array(1, dtype), s), s);
}

array bernoulli(const array& p, const Shape& shape, const std::optional<array>& k,
                StreamOrDevice s) {
  require<ShapeError>(broadcast_shapes(shape, p.shape()) == shape,
                      "[bernoulli] p of shape {} does not broadcast to {}.", text_of(p.shape()),
                      text_of(shape));
  require(issubdtype(p.dtype(), floating), "[bernoulli] p is {}; it must be a float.",
          name_of(p.dtype()));
  array bound = array(0x1.fffffep+31f);  // the float below 2^32
  return less(astype(bits(shape, 4, k, s), float32, s), multiply(p, bound, s), s);
}
array bernoulli(const array& p, const std::optional<array>& k, StreamOrDevice s) {
  return bernoulli(p, p.shape(), k, s);
}

array gumbel(const Shape& shape, Dtype dtype, const std::optional<array>& k, StreamOrDevice s) {
  array u = uniform(shape, dtype, k, s);
  return negative(log(negative(log(u, s), s), s), s);
}
array categorical(const array& logits, int axis, const std::optional<array>& k, StreamOrDevice s) {
  array noise = gumbel(logits.shape(), float32, k, s);
  return argmax(add(logits, noise, s), axis, false, s);
}
array permutation(const array& x, int axis, const std::optional<array>& k, StreamOrDevice s) {
  auto at = x.shape(axis);
  return take(x, permutation(static_cast<int>(at), k, s), axis, s);
}
array permutation(int x, const std::optional<array>& k, StreamOrDevice s) {
  return argsort(bits(Shape{x}, 4, k, s), 0, s);
}

}  // namespace random
}  // namespace tarn
