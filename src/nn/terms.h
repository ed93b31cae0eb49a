// Layers with their low-rank terms: what a term amounts to, and which rows it applies to.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tarn/nn/layers.h"

namespace tarn::nn {

// x W^T and what the terms add to it, without the bias.
array with_terms(const Linear& layer, const array& x);
// The same of the table as an output layer.
array with_terms(const Embedding& table, const array& x);
// The rows that `ids` name.
array rows_with_terms(const Embedding& table, const array& ids);

// What a term adds to W, in float32: gain * W + (a b)^T in a Linear, gain * W + a b in an
// Embedding, with the shapes of the term's a and b.
struct Effect {
  array a{}, b{};
  std::optional<array> gain{};  // (rows,)
};
Effect effect_of(const Linear& layer, const LowRank& term);
Effect effect_of(const Embedding& layer, const LowRank& term);

// An effect, and of what it is one.
struct SettledTerm {
  array lora_a{}, lora_b{};
  std::optional<array> m{};
  float scale = 1, weight = 1;
  Effect effect{};
  bool is_of(const LowRank& term) const;
};

// Effects side by side, the last of zeros for rows that ask for none of them; thinner ones are
// filled up with zeros.
struct Stack {
  std::vector<std::string> names{};
  array a{}, b{};               // (terms + 1, n, rank) and (terms + 1, rank, outputs)
  std::optional<array> gain{};  // (terms + 1, rows)
};
struct GatheredTerms {
  struct Entry {
    std::vector<std::shared_ptr<const SettledTerm>> of{};
    Stack stack{};
  };
  std::mutex mutex{};
  std::optional<Entry> plain{}, turned{};  // turned: for the table as an output layer
};

// For each position of x: which effect of a stack, (positions,), and how much of it, (positions, 1,
// 1), where that is not 1 for all.
struct Chosen {
  std::vector<std::string> names{};
  int64_t positions = 0;
  array index{};
  std::optional<array> weights{};
};

// The context of a thread, and what was made of it already.
struct LowRankState {
  LowRankContext context{};
  std::vector<std::shared_ptr<const Chosen>> chosen{};
};

}  // namespace tarn::nn
