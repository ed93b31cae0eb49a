// Low-rank terms beside the weight of a matrix: LoRA (Hu et al. 2021) and DoRA (Liu et al. 2024).
// They are a state of the layer, as quantisation is; a model's code does not mention them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::nn {

struct Matrix;
struct Linear;
struct Embedding;
struct SettledTerm;
struct GatheredTerms;
struct LowRankState;

// A change of W (rows, columns) by a product of two thin matrices. LoRA: W + weight * scale * D,
// where D is (A B)^T in a Linear and A B in an Embedding. DoRA: the rows of W + scale * D get the
// magnitudes m; of the difference to W, `weight` is added.
struct LowRank {
  // Whose it is. It stands before the names of the parameters, "q_proj.NAME.lora_a"; without a name
  // they are MLX's, "q_proj.lora_a".
  std::string adapter{};
  // In a Linear (columns, rank) and (rank, rows), in an Embedding (rows, rank) and (rank, columns).
  array lora_a{}, lora_b{};
  std::optional<array> m{};  // DoRA: (rows,)
  float scale = 1, weight = 1;
  float dropout = 0;               // of what A is applied to, while a LowRankScope has a key
  bool on_request = false;         // only for sequences that name the adapter, see LowRankScope
  bool in_head = true;             // of an Embedding: also where it is the output layer
  std::optional<array> squares{};  // DoRA: sums of W's squared rows; summed when absent
  TARN_FIELDS(lora_a, lora_b, m)

  // A term that changes nothing yet: A uniform within 1 / sqrt(its rows), B zero and, for DoRA, m
  // the lengths of W's rows. Throws ValueError unless rank is positive.
  static LowRank init(const Linear& layer, int64_t rank, const array& key, bool dora = false);
  static LowRank init(const Embedding& layer, int64_t rank, const array& key, bool dora = false);

  // What settle() computed.
  std::shared_ptr<const SettledTerm> settled{};
};

// The terms of one matrix, which add up. A field of a module by which the terms' parameters stand
// directly below the layer.
struct LowRanks {
  static constexpr bool inlined = true;
  std::vector<LowRank> terms{};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    for (auto& term : self.terms) visit(std::string_view(term.adapter), term);
  }
  bool empty() const { return terms.empty(); }
  // The terms on request side by side, made when rows first differ in what they ask for.
  std::shared_ptr<GatheredTerms> gathered{};
};

// Computes what inference needs of the terms once instead of in each call, and returns it, to be
// evaluated. Until then, and after a parameter was replaced, calls compute it themselves: that is
// what training does.
std::vector<array> settle(Linear& layer);
std::vector<array> settle(Embedding& layer);

// The numbers of the matrix with its terms, in float32: those of an adapter that is asked for by
// name are left out.
array fused(const Linear& layer);
array fused(const Embedding& layer);

// Which adapter one sequence asks for; none when the name is empty.
struct AdapterChoice {
  std::string name{};
  float weight = 1;
  friend bool operator==(const AdapterChoice&, const AdapterChoice&) = default;
};

// What the calling thread's layers do with their terms.
struct LowRankContext {
  // Of each sequence, that is row of x; one alone stands for all. Terms that are not on request
  // apply to each.
  std::vector<AdapterChoice> rows{};
  // How many positions of x (1, sum, …) belong to each sequence, side by side; empty: x has a row
  // for each.
  std::vector<int64_t> counts{};
  // While training: what dropout is drawn from, anew at each term.
  std::optional<array> dropout_key{};
};
// Sets the calling thread's context while it lives.
class LowRankScope {
 public:
  explicit LowRankScope(LowRankContext context);
  ~LowRankScope();
  LowRankScope(const LowRankScope&) = delete;
  LowRankScope& operator=(const LowRankScope&) = delete;
  // The calling thread's now: for code that computes layers again elsewhere, as checkpoint does.
  static LowRankContext current();

 private:
  std::unique_ptr<LowRankState> state_;
  LowRankState* before_;
};

}  // namespace tarn::nn
