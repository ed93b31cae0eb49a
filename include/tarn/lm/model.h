// A language model as a value: copies share every array; a parameter is replaced, never written.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tarn/array.h"
#include "tarn/nn/layers.h"

namespace tarn::lm {

// The keys and values of one layer that were computed before. Buffers have room to grow, so that
// appending writes in place; copies of a cache share them.
class KVCache {
 public:
  // How the numbers are kept: float16 halves what decoding reads, float32 is exact.
  explicit KVCache(Dtype dtype = float32) : dtype_(dtype) {}

  int64_t length() const { return length_; }
  // Makes room for `extra` more positions of keys (B, heads, ., key_size); evaluates when it grows.
  void reserve(int64_t batch, int64_t heads, int64_t key_size, int64_t value_size, int64_t extra);
  // Appends keys and values (B, heads, n, size).
  void append(const array& keys, const array& values);
  // Forgets all positions from `length` on.
  void truncate(int64_t length);
  const array& keys() const { return keys_; }
  const array& values() const { return values_; }
  // The arrays to evaluate so that nothing recorded keeps old ones alive.
  void collect(std::vector<array>& into) const;

 private:
  Dtype dtype_;
  array keys_{}, values_{};
  int64_t length_ = 0, capacity_ = 0;
};

// What one call of a model carries besides the tokens.
struct Pass {
  std::vector<KVCache> caches{};  // one a layer
  bool last_only = true;          // logits of the last position only

  int64_t length() const { return caches.empty() ? 0 : caches[0].length(); }
  void truncate(int64_t length);
};

struct ModelShape {
  int64_t layers = 0, hidden_size = 0, vocabulary = 0, context = 0;
};

// The interface that every architecture is erased to.
struct AnyModel {
  virtual ~AnyModel() = default;
  // ids (B, n) int32 to logits (B, n or 1, vocabulary).
  virtual array forward(const array& ids, Pass& pass) const = 0;
  virtual void parameters(const std::function<void(const std::string&, array&)>& f) = 0;
  virtual void matrices(const std::function<void(const std::string&, nn::Matrix&)>& f) = 0;
  virtual ModelShape shape() const = 0;
  virtual std::unique_ptr<AnyModel> copy() const = 0;
};

class Model {
 public:
  Model() = default;
  explicit Model(std::unique_ptr<AnyModel> it) : it_(std::move(it)) {}
  Model(Model&&) = default;
  Model& operator=(Model&&) = default;
  Model(const Model& o) : it_(o.it_ ? o.it_->copy() : nullptr) {}
  Model& operator=(const Model& o) {
    it_ = o.it_ ? o.it_->copy() : nullptr;
    return *this;
  }

  array operator()(const array& ids, Pass& pass) const { return it_->forward(ids, pass); }
  Pass new_pass(Dtype cache_dtype = float32) const;
  ModelShape shape() const { return it_->shape(); }
  void parameters(const std::function<void(const std::string&, array&)>& f) { it_->parameters(f); }
  void matrices(const std::function<void(const std::string&, nn::Matrix&)>& f) { it_->matrices(f); }
  explicit operator bool() const { return it_ != nullptr; }

 private:
  std::unique_ptr<AnyModel> it_{};
};

}  // namespace tarn::lm
