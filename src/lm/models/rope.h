// Rotary positions in all the ways that checkpoints ask for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tarn/array.h"
#include "tarn/lm/config.h"
#include "tarn/lm/model.h"

namespace tarn::lm {

// `rope_scaling` of config.json, or `rope_parameters` of newer ones.
struct RopeScaling {
  std::string rope_type{}, type{};  // the second is the older name of the first
  float factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  std::optional<int64_t> original_max_position_embeddings{};
  float beta_fast = 32, beta_slow = 1, mscale = 0, mscale_all_dim = 0;
  std::optional<float> attention_factor{};
  std::vector<float> short_factor{}, long_factor{};  // one for each pair
  bool truncate = true;
  TARN_FIELDS(rope_type, type, factor, low_freq_factor, high_freq_factor,
              original_max_position_embeddings, beta_fast, beta_slow, mscale, mscale_all_dim,
              attention_factor, short_factor, long_factor, truncate)

  std::string name() const { return !rope_type.empty() ? rope_type : type; }
};

// The rotation that the layers of one kind share. Made of nothing it changes nothing.
class Rope {
 public:
  struct Basis {
    double theta = 10000;
    int64_t dims = 0;  // of a head, from the front; the rest passes through
    int64_t head_size = 0;
    bool traditional = false;  // pairs are neighbours
    int64_t context = 0;       // max_position_embeddings
  };
  Rope() = default;
  // Throws FileError for a type that is not known and factors that do not fit.
  Rope(const Basis& basis, const RopeScaling& scaling, const Config& config);

  // x (1, heads, n, head size), whose first position is `offset`.
  array operator()(const array& x, int64_t offset) const;
  // For Pass::attend; none where the turn depends on a sequence's length. Valid while this lives.
  Pass::TurnRows by_row() const;

 private:
  void set_llama3(const RopeScaling& s, const Config& config);
  void set_yarn(const RopeScaling& s);
  void set_longrope(const RopeScaling& s, const Config& config);
  void set_gain(double gain);
  // Of a call that reaches `length` positions; none: powers of basis_.theta.
  std::optional<array> periods_for(int64_t length) const;
  // Offset: an int or an array.
  template <class Offset>
  array turned(const array& x, const Offset& offset, const std::optional<array>& periods) const;

  Basis basis_{};
  float scale_ = 1;                     // of positions
  double stretch_ = 0;                  // dynamic: the factor; 0: not so
  std::optional<array> periods_{};      // of each pair, float32 (dims / 2,)
  std::optional<array> far_periods_{};  // once there are more than `near_` positions
  int64_t near_ = 0;
  std::optional<array> gain_{};  // what each number of a head is multiplied by
};

}  // namespace tarn::lm
