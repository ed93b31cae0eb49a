// The cache of a sequence: a layer's kind by its shape and the options, and what all layers do.
#include "tarn/lm/cache.h"

#include <algorithm>

#include "base/require.h"
#include "lm/cache/parts.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

LayerCache::Kind kind_of(const LayerShape& shape, const CacheOptions& o) {
  if (shape.window > 0) return RotatingCache(shape.window, 0, o.dtype);
  if (o.max_size > 0) return RotatingCache(o.max_size, o.keep, o.dtype);
  return PlainCache(o.dtype);
}

}  // namespace

void check(const CacheOptions& o) {
  auto one_of = [](int value, std::initializer_list<int> all) {
    return std::find(all.begin(), all.end(), value) != all.end();
  };
  require(o.dtype == float32 || o.dtype == float16 || o.dtype == bfloat16,
          "[cache] dtype is {}; float32, float16 or bfloat16 is needed.", name_of(o.dtype));
  require(o.max_size >= 0 && o.keep >= 0 && (o.max_size == 0 || o.keep < o.max_size),
          "[cache] max_size is {} and keep {}; 0 is for no limit, and fewer are kept than there "
          "are.",
          o.max_size, o.keep);
  require(o.bits == 0 || one_of(o.bits, {2, 3, 4, 5, 6, 8}),
          "[cache] bits is {}; 0 (not quantised), 2, 3, 4, 5, 6 or 8 is needed.", o.bits);
  require(o.bits == 0 || one_of(o.group_size, {32, 64, 128}),
          "[cache] group_size is {}; 32, 64 or 128 is needed.", o.group_size);
  require(o.bits == 0 || o.max_size == 0,
          "[cache] max_size is {} and bits {}: a ring is not quantised. Choose one of them.",
          o.max_size, o.bits);
  require(o.quantised_start >= 0, "[cache] quantised_start is {}; 0 or more is needed.",
          o.quantised_start);
}

LayerCache::LayerCache(const LayerShape& shape, const CacheOptions& options)
    : kind_(kind_of(shape, options)), options_(options) {
  int64_t group = options.group_size;
  require(options.bits == 0 || (shape.key_size % group == 0 && shape.value_size % group == 0),
          "[cache] heads of size {} and {} do not make groups of {}. Choose another group_size.",
          shape.key_size, shape.value_size, group);
}

int64_t LayerCache::length() const {
  return std::visit([](const auto& c) { return c.length(); }, kind_);
}
array LayerCache::attend(const array& queries, const array& keys, const array& values,
                         const Attend& how) {
  if (becomes_quantised())
    kind_ = QuantisedCache(std::get<PlainCache>(kind_), options_.bits, options_.group_size);
  return std::visit([&](auto& c) { return c.attend(queries, keys, values, how); }, kind_);
}
bool LayerCache::becomes_quantised() const {
  auto* plain = std::get_if<PlainCache>(&kind_);
  return plain && options_.bits > 0 && plain->length() >= options_.quantised_start;
}
std::optional<Dtype> LayerCache::takes_rows(const Attend& how) const {
  return std::visit(
      [&](const auto& c) -> std::optional<Dtype> {
        if constexpr (requires { c.takes_rows(how); })
          if (c.takes_rows(how) && !becomes_quantised()) return c.dtype();
        return std::nullopt;
      },
      kind_);
}
Filled LayerCache::append_row(const array& keys, const array& values, int64_t row) {
  return std::visit(
      [&](auto& c) -> Filled {
        if constexpr (requires { c.append_row(keys, values, row); })
          return c.append_row(keys, values, row);
        else
          fail(
              "[cache] append_row is for caches whose takes_rows gives a dtype; this one is "
              "quantised.");
      },
      kind_);
}
bool LayerCache::goes_on() const {
  return std::visit(
      [&](const auto& c) {
        if constexpr (requires { c.goes_on(); }) return c.goes_on() && !becomes_quantised();
        return false;
      },
      kind_);
}
void LayerCache::add_position() {
  std::visit(
      [](auto& c) {
        if constexpr (requires { c.add_position(); }) return c.add_position();
        fail("[cache] add_position is for caches that go on; this one is quantised.");
      },
      kind_);
}
bool LayerCache::can_truncate(int64_t length) const {
  return std::visit([&](const auto& c) { return c.can_truncate(length); }, kind_);
}
void LayerCache::truncate(int64_t length) {
  std::visit([&](auto& c) { c.truncate(length); }, kind_);
}
void LayerCache::collect(std::vector<array>& into) const {
  std::visit([&](const auto& c) { c.collect(into); }, kind_);
}

bool Cache::can_truncate(int64_t length) const {
  return std::all_of(layers.begin(), layers.end(),
                     [&](const LayerCache& layer) { return layer.can_truncate(length); });
}
void Cache::truncate(int64_t length) {
  require(can_truncate(length), "[cache] cannot go back from {} positions to {}.", this->length(),
          length);
  for (auto& layer : layers) layer.truncate(length);
}
void Cache::collect(std::vector<array>& into) const {
  for (const auto& layer : layers) layer.collect(into);
}
size_t Cache::nbytes() const {
  std::vector<array> all;
  collect(all);
  size_t bytes = 0;
  for (const array& a : all) bytes += a.nbytes();
  return bytes;
}

}  // namespace tarn::lm
