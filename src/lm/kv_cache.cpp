#include <algorithm>

#include "base/require.h"
#include "tarn/lm/model.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

// Room doubles, from 256 positions on: a plan of the decode step lasts as long as the room does.
constexpr int64_t first_capacity = 256;

array grown(const array& old, int64_t length, int64_t batch, int64_t heads, int64_t capacity,
            int64_t size, Dtype dtype) {
  array fresh = zeros({batch, heads, capacity, size}, dtype);
  if (length == 0) return fresh;
  array kept = slice(old, {0, 0, 0, 0}, {batch, heads, length, size});
  return slice_update(fresh, kept, {0, 0, 0, 0}, {batch, heads, length, size});
}

}  // namespace

void KVCache::reserve(int64_t batch, int64_t heads, int64_t key_size, int64_t value_size,
                      int64_t extra) {
  if (length_ + extra <= capacity_) return;
  int64_t capacity = std::max(capacity_, first_capacity);
  while (capacity < length_ + extra) capacity *= 2;
  keys_ = grown(keys_, length_, batch, heads, capacity, key_size, dtype_);
  values_ = grown(values_, length_, batch, heads, capacity, value_size, dtype_);
  eval(keys_, values_);  // apart from the decode step, so that its plan does not change
  capacity_ = capacity;
}

void KVCache::append(const array& keys, const array& values) {
  int64_t n = keys.shape(2), batch = keys.shape(0), heads = keys.shape(1);
  reserve(batch, heads, keys.shape(3), values.shape(3), n);
  Shape start{0, 0, length_, 0};
  keys_ = slice_update(keys_, keys, start, {batch, heads, length_ + n, keys.shape(3)});
  values_ = slice_update(values_, values, start, {batch, heads, length_ + n, values.shape(3)});
  length_ += n;
}

void KVCache::truncate(int64_t length) {
  require(length >= 0 && length <= length_, "[KVCache] cannot truncate {} positions to {}.",
          length_, length);
  length_ = length;
}

void KVCache::collect(std::vector<array>& into) const {
  into.push_back(keys_);
  into.push_back(values_);
}

void Pass::truncate(int64_t length) {
  for (auto& c : caches) c.truncate(length);
}

Pass Model::new_pass(Dtype cache_dtype) const {
  Pass pass;
  for (int64_t i = 0; i < shape().layers; ++i) pass.caches.emplace_back(cache_dtype);
  return pass;
}

}  // namespace tarn::lm
