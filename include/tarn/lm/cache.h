// What a model remembers of a sequence: the keys and values of every layer. Caches are values:
// copies share arrays, rows of a batch are taken out and put in by copying and moving them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "tarn/array.h"
#include "tarn/nn/low_rank.h"

namespace tarn::lm {

// How a layer's queries meet what it remembers.
struct Attend {
  float scale = 1;
  float softcap = 0;   // scores become softcap * tanh(score / softcap); 0: none
  int64_t window = 0;  // positions that a query sees, its own among them; 0: all
  // Set by Pass::attend: queries and keys were turned by their positions and nothing else.
  bool by_position = false;
};

// The first `length` positions of buffers (1, kv heads, room, size).
struct Filled {
  array keys{}, values{};
  int64_t length = 0;
};

// Buffers with room to grow, so that appending writes in place.
class PlainCache {
 public:
  // How the numbers are kept: float16 halves what decoding reads, float32 is exact.
  explicit PlainCache(Dtype dtype = float32) : dtype_(dtype) {}

  int64_t length() const { return length_; }
  // Appends keys and values (1, kv heads, n, size); the queries (1, heads, up to n, size) are the
  // last of their positions', and see themselves and all before.
  array attend(const array& queries, const array& keys, const array& values, const Attend& how);
  // Whether one query more sees just what append_row gives, all of it.
  bool takes_rows(const Attend& how) const {
    return how.softcap == 0 && (how.window == 0 || length_ < how.window);
  }
  // Appends row `row` of keys and values (rows, kv heads, 1, size), of dtype().
  Filled append_row(const array& keys, const array& values, int64_t row);
  Dtype dtype() const { return dtype_; }
  // Whether attending with one position more would be recorded as the last one was, but for numbers
  // that go on as between the last two: where it lies and how many there are.
  bool goes_on() const { return length_ < alike_until_; }
  // Whoever ran that again has written a position.
  void add_position() { ++length_; }
  bool can_truncate(int64_t length) const { return length >= 0 && length <= length_; }
  void truncate(int64_t length) { length_ = length, alike_until_ = 0; }
  void collect(std::vector<array>& into) const;

 private:
  friend class QuantisedCache;
  friend struct CacheParts;
  void append(const array& keys, const array& values);
  void reserve(const array& keys, const array& values);
  Dtype dtype_;
  array keys_{}, values_{};
  int64_t length_ = 0, capacity_ = 0, alike_until_ = 0;
};

// The first `keep` positions and the latest of the others, `max_size` in all: a ring. A query sees
// the kept ones and the max_size - keep latest, its own among them, however the prompt is cut.
class RotatingCache {
 public:
  explicit RotatingCache(int64_t max_size, int64_t keep = 0, Dtype dtype = float32)
      : dtype_(dtype), max_size_(max_size), keep_(keep) {}

  int64_t length() const { return length_; }
  array attend(const array& queries, const array& keys, const array& values, const Attend& how);
  // As those of PlainCache.
  bool takes_rows(const Attend& how) const { return how.softcap == 0; }
  Filled append_row(const array& keys, const array& values, int64_t row);
  Dtype dtype() const { return dtype_; }
  bool goes_on() const { return length_ < alike_until_; }
  void add_position() { ++length_, ++next_; }
  // What has left the ring is lost: only a cache that is not over its size can go back.
  bool can_truncate(int64_t length) const {
    return length >= 0 && (length == length_ || (length < length_ && length_ <= max_size_));
  }
  void truncate(int64_t length);
  void collect(std::vector<array>& into) const;

 private:
  friend struct CacheParts;
  void reserve(const array& keys, const array& values);
  void put(const array& keys, const array& values);
  std::pair<array, array> in_order() const;
  void shorten();
  array attend_chunk(const array& queries, const array& keys, const array& values,
                     const Attend& how);
  Dtype dtype_;
  int64_t max_size_, keep_;
  array keys_{}, values_{};
  int64_t length_ = 0, next_ = 0, capacity_ = 0;  // next_: where the next position goes
  int64_t alike_until_ = 0;
};

// Keys and values in affine groups along the head, as tarn::quantize makes them.
class QuantisedCache {
 public:
  QuantisedCache(int bits, int group_size, Dtype dtype = float32)
      : bits_(bits), group_size_(group_size), dtype_(dtype) {}
  // What the other holds, quantised.
  QuantisedCache(const PlainCache& other, int bits, int group_size);

  int64_t length() const { return length_; }
  array attend(const array& queries, const array& keys, const array& values, const Attend& how);
  bool can_truncate(int64_t length) const { return length >= 0 && length <= length_; }
  void truncate(int64_t length) { length_ = length; }
  void collect(std::vector<array>& into) const;

 private:
  friend struct CacheParts;
  using Parts = std::vector<array>;  // codes, scales, biases; empty before the first position
  void append(const array& keys, const array& values);
  void grow(Parts& parts, const Parts& like, int64_t capacity);
  int bits_, group_size_;
  Dtype dtype_;  // of scales and biases
  Parts keys_{}, values_{};
  int64_t length_ = 0, capacity_ = 0;
};

// How a new cache keeps what it is given.
struct CacheOptions {
  Dtype dtype = float32;
  // Positions that layers without a window of their own remember, the first `keep` for good; 0: all
  int64_t max_size = 0;
  int64_t keep = 4;
  int bits = 0;         // 2, 3, 4, 5, 6 or 8: quantised once there are quantised_start positions
  int group_size = 64;  // must divide the size of a head
  int64_t quantised_start = 0;
  friend bool operator==(const CacheOptions&, const CacheOptions&) = default;
};
// Throws ValueError for a number outside its range and for what does not go together.
void check(const CacheOptions& options);

// What one layer keeps at a position, and how far back it looks (0: all the way).
struct LayerShape {
  int64_t kv_heads = 0, key_size = 0, value_size = 0, window = 0;
};

// One layer's cache, of the kind that layer and options ask for. Members as in PlainCache.
class LayerCache {
 public:
  LayerCache(const LayerShape& shape, const CacheOptions& options);
  using Kind = std::variant<PlainCache, RotatingCache, QuantisedCache>;
  explicit LayerCache(Kind kind) : kind_(std::move(kind)) {}

  int64_t length() const;
  array attend(const array& queries, const array& keys, const array& values, const Attend& how);
  // The dtype in which append_row takes keys and values; none: it does not, see
  // PlainCache::takes_rows.
  std::optional<Dtype> takes_rows(const Attend& how) const;
  Filled append_row(const array& keys, const array& values, int64_t row);
  // See PlainCache; a quantised cache never goes on.
  bool goes_on() const;
  void add_position();
  bool can_truncate(int64_t length) const;
  void truncate(int64_t length);
  void collect(std::vector<array>& into) const;
  const Kind& kind() const { return kind_; }

 private:
  bool becomes_quantised() const;
  Kind kind_;
  CacheOptions options_{};  // what becomes of a plain cache later
};

// One sequence.
struct Cache {
  std::vector<LayerCache> layers{};
  CacheOptions options{};
  nn::AdapterChoice adapter{};  // that it was computed with

  int64_t length() const { return layers.empty() ? 0 : layers[0].length(); }
  // Forgets all positions from `length` on. Throws ValueError where can_truncate is false.
  bool can_truncate(int64_t length) const;
  void truncate(int64_t length);
  // The arrays to evaluate so that nothing recorded keeps old ones alive.
  void collect(std::vector<array>& into) const;
  size_t nbytes() const;
};

// Files in the form of mlx-lm's save_prompt_cache: one safetensors file that either program reads,
// written whole or not at all. Loading throws FileError for a file that is damaged or holds caches
// of other kinds; it also reads mlx-lm's form before 0.32, which is that of MLX Swift LM.
using CacheMetadata = std::unordered_map<std::string, std::string>;
void save_cache(const std::string& file, const Cache& cache, const CacheMetadata& metadata = {});
std::pair<Cache, CacheMetadata> load_cache(const std::string& file);

}  // namespace tarn::lm
