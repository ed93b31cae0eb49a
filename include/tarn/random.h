// Random numbers from keys: threefry2x32, bit for bit as MLX draws them.
#pragma once

#include <optional>
#include <utility>

#include "tarn/array.h"
#include "tarn/ops/creation.h"

namespace tarn::random {

// uint32 {high, low} half of the seed.
array key(uint64_t seed);
// Reseeds the calling thread. Unseeded threads draw different numbers.
void seed(uint64_t seed);
// A stream of keys: its state is split at every draw.
class KeySequence {
 public:
  explicit KeySequence(uint64_t seed) { this->seed(seed); }
  void seed(uint64_t seed);
  // The next key. The state becomes the first half of the split, the second half is given out.
  array next();
  // The calling thread's own sequence, which draws without a key use.
  static KeySequence& default_();

 private:
  std::optional<array> state_{};
};

// Uniform bits of `width` bytes an element (1, 2 or 4). Without a key, the thread's next one.
array bits(const Shape& shape, int width, const std::optional<array>& key = std::nullopt,
           StreamOrDevice s = {});
inline array bits(const Shape& shape, const std::optional<array>& key = std::nullopt,
                  StreamOrDevice s = {}) {
  return bits(shape, 4, key, s);
}
std::pair<array, array> split(const array& key, StreamOrDevice s = {});
array split(const array& key, int num, StreamOrDevice s = {});
// In [low, high): a float of 32 random bits (float64: 53), as MLX rounds it.
array uniform(const array& low, const array& high, const Shape& shape, Dtype dtype = float32,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
template <Number T, Number U>
array uniform(T low, U high, const Shape& shape, Dtype dtype = float32,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {}) {
  return uniform(array(low), array(high), shape, dtype, key, s);
}
array uniform(const Shape& shape, Dtype dtype, const std::optional<array>& key = std::nullopt,
              StreamOrDevice s = {});
array uniform(const Shape& shape, const std::optional<array>& key = std::nullopt,
              StreamOrDevice s = {});
// loc + scale * n, n with mean 0 and variance 1: sqrt(2) erfinv of a uniform float32. A complex64
// number has variance 1 as well, 1/2 in each of its two parts.
array normal(const Shape& shape, Dtype dtype, const std::optional<array>& loc,
             const std::optional<array>& scale, const std::optional<array>& key,
             StreamOrDevice s = {});
array normal(const Shape& shape, Dtype dtype, float loc, float scale,
             const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array normal(const Shape& shape, float loc, float scale,
             const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array normal(const Shape& shape, Dtype dtype, const std::optional<array>& key = std::nullopt,
             StreamOrDevice s = {});
array normal(const Shape& shape, const std::optional<array>& key = std::nullopt,
             StreamOrDevice s = {});
// In [low, high); exact for ranges below 2^24.
array randint(const array& low, const array& high, const Shape& shape, Dtype dtype = int32,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
template <Number T, Number U>
array randint(T low, U high, const Shape& shape, Dtype dtype = int32,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {}) {
  return randint(array(low), array(high), shape, dtype, key, s);
}
array bernoulli(const array& p, const Shape& shape, const std::optional<array>& key = std::nullopt,
                StreamOrDevice s = {});
array bernoulli(const array& p, const std::optional<array>& key = std::nullopt,
                StreamOrDevice s = {});
template <Number T>
array bernoulli(T p, const std::optional<array>& key = std::nullopt, StreamOrDevice s = {}) {
  return bernoulli(array(p), key, s);
}
template <Number T>
array bernoulli(T p, const Shape& shape, const std::optional<array>& key = std::nullopt,
                StreamOrDevice s = {}) {
  return bernoulli(array(p), shape, key, s);
}
array bernoulli(const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
// The normal distribution between two bounds, which broadcast to the shape.
array truncated_normal(const array& lower, const array& upper, const Shape& shape,
                       Dtype dtype = float32, const std::optional<array>& key = std::nullopt,
                       StreamOrDevice s = {});
array truncated_normal(const array& lower, const array& upper, Dtype dtype = float32,
                       const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
// -log(-log(u)).
array gumbel(const Shape& shape, Dtype dtype = float32,
             const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
// loc - scale * sign(u) log(1 - |u|), u uniform in (-1, 1).
array laplace(const Shape& shape, Dtype dtype, float loc, float scale,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array laplace(const Shape& shape, float loc, float scale,
              const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array laplace(const Shape& shape, Dtype dtype, const std::optional<array>& key = std::nullopt,
              StreamOrDevice s = {});
array laplace(const Shape& shape, const std::optional<array>& key = std::nullopt,
              StreamOrDevice s = {});
// uint32: the places that softmax(logits) on `axis` gives their probabilities. `shape` broadcasts
// with the other axes; `num_samples` adds an axis at the end. Several draws from one row of logits
// look a uniform number up in their running sum; others take the largest of logits plus gumbel.
array categorical(const array& logits, int axis, const Shape& shape,
                  const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array categorical(const array& logits, int axis, int num_samples,
                  const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
array categorical(const array& logits, int axis = -1,
                  const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
// The rows of x (0 ... x - 1) in a random order.
array permutation(const array& x, int axis = 0, const std::optional<array>& key = std::nullopt,
                  StreamOrDevice s = {});
array permutation(int x, const std::optional<array>& key = std::nullopt, StreamOrDevice s = {});
// shape + (N,) normal numbers with means (..., N) and covariances (..., N, N), which may be
// singular; both broadcast to shape. float32, or float64 from draws of float32. They have MLX's
// distribution, not its numbers: the signs of singular vectors differ.
array multivariate_normal(const array& mean, const array& cov, const Shape& shape,
                          Dtype dtype = float32, const std::optional<array>& key = std::nullopt,
                          StreamOrDevice s = {});

}  // namespace tarn::random
