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
void KeySequence::seed(uint64_t seed) { state_ = key(seed); }
array KeySequence::next() {
  auto [keep, use] = random::split(*state_);
  keep.eval();
  state_ = keep;
  return use;
}
KeySequence& KeySequence::default_() {
  thread_local KeySequence sequence(unseeded());
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

namespace {
void check_bounds(const char* op, const array& low, const array& high, const Shape& shape) {
  Shape both = broadcast_for(op, low.shape(), high.shape());
  require<ShapeError>(broadcast_for(op, shape, both) == shape,
                      "[{}] low {} and high {} do not broadcast to {}.", op, text_of(low.shape()),
                      text_of(high.shape()), text_of(shape));
}
// 53 bits of two words: what float64 holds of a number below 1. (MLX has no float64 here.)
array uniform_double(const array& low, const array& high, const Shape& shape,
                     const std::optional<array>& k, StreamOrDevice s) {
  check_bounds("uniform", low, high, shape);
  Shape words = shape;
  words.push_back(2);
  array both = astype(bits(words, 4, k, s), float64, s);
  array whole = take(both, 0, -1, s),
        part = floor(multiply(take(both, 1, -1, s), array(0x1p-11, float64), s), s);
  array u = multiply(add(multiply(whole, array(0x1p21, float64), s), part, s),
                     array(0x1p-53, float64), s);
  array lo = astype(low, float64, s), range = subtract(astype(high, float64, s), lo, s);
  return add(multiply(range, u, s), lo, s);
}
}  // namespace

array uniform(const array& low, const array& high, const Shape& shape, Dtype dtype,
              const std::optional<array>& k, StreamOrDevice s) {
  require(issubdtype(dtype, floating), "[uniform] dtype is {}; it must be a float.",
          name_of(dtype));
  if (dtype == float64) return uniform_double(low, high, shape, k, s);
  // MLX rounds every step to the half that is asked for; a chain would keep float32 in between.
  auto rounded = [&](const array& x) { return astype(astype(x, dtype, s), float32, s); };
  array lo = rounded(low), range = rounded(subtract(rounded(high), lo, s));
  check_bounds("uniform", low, high, shape);
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
  require<ShapeError>(broadcast_for("bernoulli", shape, p.shape()) == shape,
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

array bernoulli(const std::optional<array>& k, StreamOrDevice s) {
  return bernoulli(array(0.5f), k, s);
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
