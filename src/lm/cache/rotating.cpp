#include <algorithm>

#include "base/require.h"
#include "lm/cache/parts.h"
#include "tarn/ops.h"
#include "tarn/ops/ragged.h"

namespace tarn::lm {
namespace {

// Positions [from, to) of axis 2.
array positions(const array& x, int64_t from, int64_t to) {
  Shape stop = x.shape();
  stop[2] = to;
  return slice(x, {0, 0, from, 0}, stop);
}

// The first `keep` positions and the last `latest` of the others, which are not fewer.
array kept_and_latest(const array& x, int64_t keep, int64_t latest) {
  int64_t n = x.shape(2);
  if (keep == 0) return positions(x, n - latest, n);
  return concatenate({positions(x, 0, keep), positions(x, n - latest, n)}, 2);
}

}  // namespace

void RotatingCache::reserve(const array& keys, const array& values) {
  int64_t needed = std::min(length_ + keys.shape(2), max_size_);
  if (needed <= capacity_) return;
  int64_t capacity = capacity_for(needed, max_size_);
  keys_ = grown(keys_, keys, length_, capacity, dtype_);
  values_ = grown(values_, values, length_, capacity, dtype_);
  eval(keys_, values_);
  capacity_ = capacity;
}

// All of them before the end of the ring, or one anywhere.
void RotatingCache::put(const array& keys, const array& values) {
  reserve(keys, values);
  if (next_ == max_size_) next_ = keep_;
  keys_ = with_positions(keys_, keys, next_);
  values_ = with_positions(values_, values, next_);
  next_ += keys.shape(2), length_ += keys.shape(2);
}

Filled RotatingCache::append_row(const array& keys, const array& values, int64_t row) {
  reserve(keys, values);
  if (next_ == max_size_) next_ = keep_;
  keys_ = tarn::append_row(keys_, keys, row, next_);
  values_ = tarn::append_row(values_, values, row, next_);
  alike_until_ = 0;
  ++next_, ++length_;
  return {keys_, values_, std::min(length_, max_size_)};
}

std::pair<array, array> RotatingCache::in_order() const {
  int64_t size = std::min(length_, max_size_);
  auto ordered = [&](const array& x) {
    if (next_ == size) return positions(x, 0, size);
    return concatenate(
        {positions(x, 0, keep_), positions(x, next_, size), positions(x, keep_, next_)}, 2);
  };
  return {ordered(keys_), ordered(values_)};
}

array RotatingCache::attend(const array& queries, const array& keys, const array& values,
                            const Attend& how) {
  int64_t n = queries.shape(2), more = keys.shape(2);
  if (more > 1 && length_ + more > max_size_) return attend_chunk(queries, keys, values, how);
  put(keys, values);
  int64_t size = std::min(length_, max_size_);
  // Up to the end of the room, or of the ring.
  alike_until_ = more == 1 && how.by_position ? length_ + capacity_ - next_ : 0;
  if (how.softcap == 0)
    return fast::cached_attention(queries, keys_, values_, how.scale, size, n > 1);
  fast::AttentionOptions o{.scale = how.scale, .softcap = how.softcap};
  o.mask = visible_slots(n, size, capacity_, 0);
  return fast::cached_attention(queries, keys_, values_, capacity_, o);
}

// More than one position, and some leave the ring: what any of them sees stands in a row, in
// order, before the ring is written anew.
array RotatingCache::attend_chunk(const array& queries, const array& keys, const array& values,
                                  const Attend& how) {
  int64_t n = queries.shape(2), window = max_size_ - keep_;
  array all_keys = astype(keys, dtype_), all_values = astype(values, dtype_);
  if (length_ > 0) {
    auto [old_keys, old_values] = in_order();
    all_keys = concatenate({old_keys, all_keys}, 2);
    all_values = concatenate({old_values, all_values}, 2);
  }
  int64_t total = all_keys.shape(2);
  fast::AttentionOptions o{.scale = how.scale, .softcap = how.softcap};
  o.mask = visible_slots(n, total, total, window);
  if (keep_ > 0) {
    // A kept position is seen by itself and all after it.
    array kept = logical_and(
        visible_slots(n, total, total, 0),
        arange(0.0, static_cast<double>(total), int32) < array(static_cast<int32_t>(keep_), int32));
    o.mask = logical_or(*o.mask, kept);
  }
  array y = fast::cached_attention(queries, all_keys, all_values, total, o);
  keys_ = all_keys, values_ = all_values;
  length_ += keys.shape(2);
  shorten();
  return y;
}

// Brings positions that lie in order and are more than the ring holds to its size.
void RotatingCache::shorten() {
  keys_ = kept_and_latest(keys_, keep_, max_size_ - keep_);
  values_ = kept_and_latest(values_, keep_, max_size_ - keep_);
  next_ = capacity_ = max_size_, alike_until_ = 0;
}

void RotatingCache::truncate(int64_t length) {
  if (length == length_) return;
  length_ = next_ = length, alike_until_ = 0;
}

void RotatingCache::collect(std::vector<array>& into) const {
  into.push_back(keys_);
  into.push_back(values_);
}

}  // namespace tarn::lm
