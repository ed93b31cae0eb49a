#include "tarn/nn/dropout.h"

#include "base/require.h"
#include "nn/weak.h"
#include "tarn/random.h"

namespace tarn::nn {
namespace {

// Elements that differ in the `shared` axes before the last live or go together.
array dropped(const char* layer, const array& x, const array& key, float p, size_t shared) {
  require(p >= 0 && p < 1, "[{}] p is {}; it lies in [0, 1).", layer, p);
  if (shared > 0)
    require<ShapeError>(x.ndim() == shared + 1 || x.ndim() == shared + 2,
                        "[{}] x has shape {}: {} or {} axes are needed, channels last.", layer,
                        text_of(x.shape()), shared + 1, shared + 2);
  if (p == 0) return x;
  Shape shape = x.shape();
  for (size_t i = 0; i < shared; ++i) shape[shape.size() - 2 - i] = 1;
  return random::bernoulli(array(1 - p), shape, key) * x * Weak(1 / (1 - double{p}));
}

}  // namespace

array Dropout::operator()(const array& x, const array& key) const {
  return dropped("Dropout", x, key, p, 0);
}
array Dropout2d::operator()(const array& x, const array& key) const {
  return dropped("Dropout2d", x, key, p, 2);
}
array Dropout3d::operator()(const array& x, const array& key) const {
  return dropped("Dropout3d", x, key, p, 3);
}

}  // namespace tarn::nn
