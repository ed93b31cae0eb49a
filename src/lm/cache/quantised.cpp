#include "lm/cache/parts.h"
#include "tarn/ops.h"
#include "tarn/ops/quantized.h"

namespace tarn::lm {

QuantisedCache::QuantisedCache(const PlainCache& other, int bits, int group_size)
    : bits_(bits), group_size_(group_size), dtype_(other.dtype_) {
  if (other.length_ == 0) return;
  auto filled = [&](const array& x) {
    Shape stop = x.shape();
    stop[2] = other.length_;
    return slice(x, Shape(4, 0), stop);
  };
  append(filled(other.keys_), filled(other.values_));
}

void QuantisedCache::grow(Parts& parts, const Parts& like, int64_t capacity) {
  if (parts.empty()) parts.resize(like.size());
  for (size_t i = 0; i < like.size(); ++i)
    parts[i] = grown(parts[i], like[i], length_, capacity, like[i].dtype());
  eval(parts);
}

void QuantisedCache::append(const array& keys, const array& values) {
  Parts more[2] = {quantize(astype(keys, dtype_), group_size_, bits_),
                   quantize(astype(values, dtype_), group_size_, bits_)};
  Parts* all[2] = {&keys_, &values_};
  int64_t before = length_, after = before + keys.shape(2);
  if (after > capacity_) {
    int64_t capacity = capacity_for(after);
    for (int i = 0; i < 2; ++i) grow(*all[i], more[i], capacity);
    capacity_ = capacity;
  }
  for (int i = 0; i < 2; ++i)
    for (size_t part = 0; part < more[i].size(); ++part) {
      array& whole = (*all[i])[part];
      whole = with_positions(whole, more[i][part], before);
    }
  length_ = after;
}

array QuantisedCache::attend(const array& queries, const array& keys, const array& values,
                             const Attend& how) {
  append(keys, values);
  int64_t batch = queries.shape(0), heads = queries.shape(1), n = queries.shape(2);
  int64_t shared = keys.shape(1), each = heads / shared;
  // The heads that share keys are rows of one product.
  array q = reshape(queries * array(how.scale, queries.dtype()), {batch, shared, each * n, -1});
  array scores = quantized_matmul(q, keys_[0], keys_[1], keys_[2], true, group_size_, bits_);
  scores = reshape(scores, {batch, shared, each, n, capacity_});
  if (how.softcap > 0) {
    array cap(how.softcap, scores.dtype());
    scores = cap * tanh(scores / cap);
  }
  array lowest(-3.4028234663852886e38f, scores.dtype());
  scores = where(visible_slots(n, length_, capacity_, how.window), scores, lowest);
  array weights = reshape(softmax(scores, -1), {batch, shared, each * n, capacity_});
  array y =
      quantized_matmul(weights, values_[0], values_[1], values_[2], false, group_size_, bits_);
  return reshape(y, {batch, heads, n, -1});
}

void QuantisedCache::collect(std::vector<array>& into) const {
  into.insert(into.end(), keys_.begin(), keys_.end());
  into.insert(into.end(), values_.begin(), values_.end());
}

}  // namespace tarn::lm
