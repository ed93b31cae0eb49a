// Caches taken apart for files, and put together again from what files say.
#include "lm/cache/parts.h"

#include <algorithm>

#include "base/require.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

array first_positions(const array& x, int64_t length) {
  Shape stop = x.shape();
  stop[2] = length;
  return contiguous(slice(x, Shape(x.ndim(), 0), stop));
}

void check_fits(bool fits, const std::string& place, const std::string& what) {
  require<FileError>(fits, "{}: {}", place, what);
}

// Keys and values (1, heads, positions, size) of one dtype, at least `length` positions.
void check_pair(const array& keys, const array& values, int64_t length, const std::string& place) {
  bool fits = keys.ndim() == 4 && values.ndim() == 4 && keys.shape(0) == 1 &&
              values.shape(0) == 1 && keys.shape(1) == values.shape(1) &&
              keys.shape(2) == values.shape(2) && keys.dtype() == values.dtype() &&
              (keys.dtype() == float32 || keys.dtype() == float16 || keys.dtype() == bfloat16) &&
              keys.size() > 0 && values.size() > 0;
  check_fits(fits && length >= 0 && length <= keys.shape(2), place,
             fmt::format("keys of shape {} and values of {} do not hold {} positions of one "
                         "sequence.",
                         text_of(keys.shape()), text_of(values.shape()), length));
}

}  // namespace

CacheParts CacheParts::of(const LayerCache& layer) {
  CacheParts p;
  if (auto* c = std::get_if<PlainCache>(&layer.kind())) {
    p.kind = "KVCache";
    p.numbers = {c->length_};
    if (c->length_ > 0)
      p.arrays = {{"0", first_positions(c->keys_, c->length_)},
                  {"1", first_positions(c->values_, c->length_)}};
  } else if (auto* r = std::get_if<RotatingCache>(&layer.kind())) {
    p.kind = "RotatingKVCache";
    int64_t size = std::min(r->length_, r->max_size_);
    p.numbers = {r->length_, r->keep_, r->max_size_, r->next_};
    if (size > 0)
      p.arrays = {{"0", first_positions(r->keys_, size)}, {"1", first_positions(r->values_, size)}};
  } else if (auto* q = std::get_if<QuantisedCache>(&layer.kind())) {
    p.kind = "QuantizedKVCache";
    p.numbers = {q->length_, q->group_size_, q->bits_};
    for (size_t i = 0; i < q->keys_.size(); ++i) {
      p.arrays.emplace_back(fmt::format("0.{}", i), first_positions(q->keys_[i], q->length_));
      p.arrays.emplace_back(fmt::format("1.{}", i), first_positions(q->values_[i], q->length_));
    }
  }
  return p;
}

const array& CacheParts::at(const std::string& key, const std::string& place) const {
  for (const auto& [name, a] : arrays)
    if (name == key) return a;
  fail<FileError>("{}: the array {} is missing.", place, key);
}

LayerCache CacheParts::whole_plain(const std::string& place) const {
  check_fits(numbers.size() == 1, place, fmt::format("{} numbers; 1 is needed.", numbers.size()));
  if (numbers[0] == 0) return LayerCache(PlainCache());
  const array &keys = at("0", place), &values = at("1", place);
  check_pair(keys, values, numbers[0], place);
  PlainCache c(keys.dtype());
  c.keys_ = keys, c.values_ = values;
  c.length_ = numbers[0], c.capacity_ = keys.shape(2);
  return LayerCache(std::move(c));
}

LayerCache CacheParts::whole_rotating(const std::string& place) const {
  check_fits(numbers.size() == 4, place, fmt::format("{} numbers; 4 are needed.", numbers.size()));
  int64_t length = numbers[0], keep = numbers[1], max_size = numbers[2], next = numbers[3];
  bool sound =
      length >= 0 && keep >= 0 && max_size > keep && max_size <= int64_t{1} << 40 && next >= 0;
  check_fits(sound, place,
             fmt::format("a ring of {} with {} kept, {} seen and the next at {} "
                         "cannot be.",
                         max_size, keep, length, next));
  if (length == 0) return LayerCache(RotatingCache(max_size, keep));
  const array &keys = at("0", place), &values = at("1", place);
  check_pair(keys, values, std::min(length, keys.ndim() == 4 ? keys.shape(2) : 0), place);
  int64_t stored = std::min(length, keys.shape(2));
  check_fits(next <= keys.shape(2) && (next >= keep || length < max_size) &&
                 stored >= std::min(length, max_size) && (length >= max_size || next == length),
             place,
             fmt::format("{} positions are stored of {}, the next at {}: a ring of {} needs "
                         "them all.",
                         stored, length, next, max_size));
  RotatingCache c(max_size, keep, keys.dtype());
  c.keys_ = keys, c.values_ = values;
  c.length_ = length, c.next_ = next, c.capacity_ = keys.shape(2);
  // mlx-lm leaves the ring longer than it is after a chunk, in order: the latest count.
  if (keys.shape(2) > max_size) c.shorten();
  return LayerCache(std::move(c));
}

LayerCache CacheParts::whole_quantised(const std::string& place) const {
  check_fits(numbers.size() == 3, place, fmt::format("{} numbers; 3 are needed.", numbers.size()));
  int64_t length = numbers[0], group = numbers[1], bits = numbers[2];
  bool known = (group == 32 || group == 64 || group == 128) && bits >= 2 && bits <= 8 && bits != 7;
  check_fits(
      known && length >= 0, place,
      fmt::format("{} positions in {} bits and groups of {} cannot be.", length, bits, group));
  QuantisedCache c(static_cast<int>(bits), static_cast<int>(group));
  if (length == 0) return LayerCache(std::move(c));
  for (int side = 0; side < 2; ++side) {
    auto& parts = side == 0 ? c.keys_ : c.values_;
    for (int i = 0; i < 3; ++i) parts.push_back(at(fmt::format("{}.{}", side, i), place));
    check_pair(parts[1], parts[2], length, place);
    Shape codes = parts[1].shape();
    codes[3] = codes[3] * group * bits / 32;
    check_fits(parts[0].dtype() == uint32 && parts[0].shape() == codes &&
                   parts[1].shape() == parts[2].shape(),
               place,
               fmt::format("codes of shape {} do not go with scales of {} in {} bits.",
                           text_of(parts[0].shape()), text_of(parts[1].shape()), bits));
  }
  check_fits(c.keys_[1].shape(1) == c.values_[1].shape(1) &&
                 c.keys_[1].shape(2) == c.values_[1].shape(2) &&
                 c.keys_[1].dtype() == c.values_[1].dtype(),
             place, "keys and values do not go together.");
  c.dtype_ = c.keys_[1].dtype();
  c.length_ = length, c.capacity_ = c.keys_[1].shape(2);
  return LayerCache(std::move(c));
}

LayerCache CacheParts::whole(const std::string& place) const {
  if (kind == "KVCache") return whole_plain(place);
  if (kind == "RotatingKVCache") return whole_rotating(place);
  return whole_quantised(place);
}

}  // namespace tarn::lm
