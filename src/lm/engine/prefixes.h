// What was computed of former prompts and answers, for others that begin the same way.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tarn/lm/generate.h"

namespace tarn::lm {

class Prefixes {
 public:
  // Copying less than this from a shared cache takes longer than computing it.
  static constexpr size_t least_shared = 16;

  explicit Prefixes(size_t most_bytes) : most_bytes_(most_bytes) {}

  // What is known of the beginning of `tokens`, at least one token short of all: copies that share
  // the arrays. Nothing where less than least_shared tokens would be saved.
  Session find(const std::shared_ptr<const LanguageModel>& model, const CacheOptions& options,
               const nn::AdapterChoice& adapter, std::span<const int32_t> tokens);
  // Keeps a sequence, and lets go of the beginnings of it and of what was not used for the longest
  // time.
  void keep(const std::shared_ptr<const LanguageModel>& model, Session sequence);
  void clear();
  // Lets go of what models made that are no more. Returns whether there was any.
  bool drop_unloaded();

  size_t bytes() const { return bytes_; }
  size_t size() const { return all_.size(); }

 private:
  struct Entry {
    std::weak_ptr<const LanguageModel> model{};
    Session sequence{};
    size_t bytes = 0;
  };
  void drop(std::list<Entry>::iterator entry);

  size_t most_bytes_, bytes_ = 0;
  std::list<Entry> all_{};  // the one used last is the first
};

}  // namespace tarn::lm
