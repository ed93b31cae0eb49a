#include <algorithm>

#include "lm/cache/parts.h"
#include "tarn/ops.h"
#include "tarn/ops/ragged.h"

namespace tarn::lm {

int64_t capacity_for(int64_t length, int64_t most) {
  constexpr int64_t first = 256;
  int64_t capacity = first;
  while (capacity < length) capacity *= 2;
  return most > 0 ? std::min(capacity, most) : capacity;
}

array grown(const array& old, const array& like, int64_t length, int64_t capacity, Dtype dtype) {
  Shape shape = like.shape();
  shape[0] = 1, shape[2] = capacity;
  array fresh = zeros(shape, dtype);
  if (length == 0) return fresh;
  shape[2] = length;
  return slice_update(fresh, slice(old, Shape(4, 0), shape), Shape(4, 0), shape);
}

array with_positions(const array& x, const array& more, int64_t start) {
  Shape stop = more.shape();
  stop[2] = start + more.shape(2);
  return slice_update(x, more, {0, 0, start, 0}, stop);
}

array visible_slots(int64_t n, int64_t length, int64_t capacity, int64_t window) {
  array slot = arange(0.0, static_cast<double>(capacity), int32);
  array position = reshape(arange(0.0, static_cast<double>(n), int32), {n, 1}) +
                   array(static_cast<int32_t>(length - n), int32);
  array seen = slot <= position;
  if (window == 0) return seen;
  return logical_and(seen, position - slot < array(static_cast<int32_t>(window), int32));
}

void PlainCache::reserve(const array& keys, const array& values) {
  int64_t needed = length_ + keys.shape(2);
  if (needed <= capacity_) return;
  int64_t capacity = capacity_for(needed);
  keys_ = grown(keys_, keys, length_, capacity, dtype_);
  values_ = grown(values_, values, length_, capacity, dtype_);
  eval(keys_, values_);
  capacity_ = capacity;
}

void PlainCache::append(const array& keys, const array& values) {
  reserve(keys, values);
  keys_ = with_positions(keys_, keys, length_);
  values_ = with_positions(values_, values, length_);
  length_ += keys.shape(2);
}

array PlainCache::attend(const array& queries, const array& keys, const array& values,
                         const Attend& how) {
  append(keys, values);
  int64_t n = queries.shape(2);
  bool narrow = how.window > 0 && length_ > how.window;
  bool alike = keys.shape(2) == 1 && how.by_position && !narrow;
  alike_until_ = !alike ? 0 : how.window > 0 ? std::min(capacity_, how.window) : capacity_;
  if (how.softcap == 0 && !narrow)
    return fast::cached_attention(queries, keys_, values_, how.scale, length_, n > 1);
  fast::AttentionOptions o{.scale = how.scale, .softcap = how.softcap};
  o.mask = visible_slots(n, length_, capacity_, how.window);
  // A soft cap has no kernel: over the whole room, so that the plan lasts.
  return fast::cached_attention(queries, keys_, values_, how.softcap > 0 ? capacity_ : length_, o);
}

Filled PlainCache::append_row(const array& keys, const array& values, int64_t row) {
  reserve(keys, values);
  keys_ = tarn::append_row(keys_, keys, row, length_);
  values_ = tarn::append_row(values_, values, row, length_);
  alike_until_ = 0;
  return {keys_, values_, ++length_};
}

void PlainCache::collect(std::vector<array>& into) const {
  into.push_back(keys_);
  into.push_back(values_);
}

}  // namespace tarn::lm
