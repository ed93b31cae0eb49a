// A language model as a value: copies share every array; a parameter is replaced, never written.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tarn/array.h"
#include "tarn/lm/cache.h"
#include "tarn/nn/layers.h"

namespace tarn::lm {

// What one call of a model carries besides the tokens: the sequences that go on in it, each with
// its own length, and what is wanted. Rows are values: erase one, push_back another, copy one to
// fork it.
struct Pass {
  std::vector<Cache> rows{};  // none: nothing is remembered, each row of ids is a whole sequence
  // How many of ids (1, sum) belong to each row, side by side; empty: ids (B, n) has n for each.
  std::vector<int64_t> counts{};
  bool last_only = true;  // logits of each row's last position only
  // Which adapter each row asks for, of those in the model on request; one alone stands for all
  // rows, none asks for none. Other adapters of the model always apply.
  std::vector<nn::AdapterChoice> adapters{};
  // While training: what the adapters' dropout is drawn from.
  std::optional<array> dropout_key{};

  int64_t length(size_t row = 0) const { return row < rows.size() ? rows[row].length() : 0; }
  bool can_truncate(int64_t length) const;
  void truncate(int64_t length);  // every row
  void collect(std::vector<array>& into) const;
  // Of one row: whether a call with one token more would be recorded as the last one was, but for
  // numbers that go on; and that it was made without recording it. See PlainCache.
  bool goes_on() const;
  void add_position();

  // For models. Throws ShapeError for ids that do not fit the rows.
  void check(const array& ids) const;
  // x (1, heads, n, size) with positions that begin at `offset`, turned by them.
  using Turn = std::function<array(const array& x, int64_t offset)>;
  // The same for x (rows, heads, 1, size) and offsets (rows,) int64, a row from each on.
  using TurnRows = std::function<array(const array& x, const array& offsets)>;
  // Each row's queries over what its layer remembers and its new keys and values, which are
  // appended: k and v (B, n, kv heads, size); q (B, n, heads, size), or of the positions that
  // `wanted` leaves, to (B, n, heads * value size) of the same.
  // With `turn_rows`, which gives the numbers of `turn`, rows with a token each are turned together
  // where their caches allow it, and their attention is one operation. Both then depend on nothing
  // but positions, and take those as fast::rope's offset.
  array attend(size_t layer, const array& q, const array& k, const array& v, const Turn& turn,
               const Attend& how, const TurnRows& turn_rows = nullptr);
  // The positions of x (B, n, hidden) whose logits are wanted: x, (B, 1, hidden) or, with counts,
  // (rows, 1, hidden). What is left of it once is all of it the next time.
  array wanted(const array& x) const;
  // The positions of x (B, n, hidden) that go on in a layer but for its keys and values: in the
  // last one those that `wanted` leaves, where each row has one.
  array going_on(const array& x, bool last_layer) const;

 private:
  // What attend does with q, k and v (rows, heads, 1, size); none: their caches do not allow it.
  std::optional<array> attend_rows(size_t layer, const array& q, const array& k, const array& v,
                                   const TurnRows& turn_rows, const Attend& how);
};

struct ModelShape {
  int64_t layers = 0, hidden_size = 0, vocabulary = 0, context = 0;
  std::vector<LayerShape> cached{};  // one a layer
};

// The interface that every architecture is erased to.
struct AnyModel {
  virtual ~AnyModel() = default;
  // ids (B, n) int32 to logits (B, n, vocabulary), or as Pass::wanted says.
  virtual array forward(const array& ids, Pass& pass) const = 0;
  virtual void parameters(const std::function<void(const std::string&, array&)>& f) = 0;
  virtual void linears(const std::function<void(const std::string&, nn::Linear&)>& f) = 0;
  virtual void embeddings(const std::function<void(const std::string&, nn::Embedding&)>& f) = 0;
  virtual void norms(const std::function<void(const std::string&, nn::RMSNorm&)>& f) = 0;
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
    version_ = new_version();
    return *this;
  }

  array operator()(const array& ids, Pass& pass) const;
  Cache new_cache(const CacheOptions& options = {}) const;
  // With so many empty rows.
  Pass new_pass(const CacheOptions& options = {}, size_t rows = 1) const;
  ModelShape shape() const { return it_->shape(); }
  // Another number once a call through which parameters may be replaced was made, and for a copy.
  uint64_t version() const { return version_; }
  void parameters(const std::function<void(const std::string&, array&)>& f) {
    changing().parameters(f);
  }
  void linears(const std::function<void(const std::string&, nn::Linear&)>& f) {
    changing().linears(f);
  }
  void embeddings(const std::function<void(const std::string&, nn::Embedding&)>& f) {
    changing().embeddings(f);
  }
  // Both.
  void matrices(const std::function<void(const std::string&, nn::Matrix&)>& f) {
    linears(f), embeddings(f);
  }
  void norms(const std::function<void(const std::string&, nn::RMSNorm&)>& f) {
    changing().norms(f);
  }
  explicit operator bool() const { return it_ != nullptr; }

 private:
  static uint64_t new_version();
  AnyModel& changing() {
    version_ = new_version();
    return *it_;
  }
  std::unique_ptr<AnyModel> it_{};
  uint64_t version_ = new_version();
};

}  // namespace tarn::lm
