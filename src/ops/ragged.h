// Rows of a batch that are at places of their own.
#pragma once

#include "ops/compound.h"

namespace tarn::ops {

// in: x (B, ..., T, D), offsets (B,) int64, and freqs (dims / 2) where there are.
struct RopeRows {
  using Kind = Fused;
  static constexpr Spec spec{"rope_rows", Types::floating,
                             "Rotary positions, each row from its own on.", 2e-5};
  struct P {
    int dims = 0;
    bool traditional = false;
    float base = 0, scale = 1;
    TARN_FIELDS(dims, traditional, base, scale)
  };
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays expand(const Params& params, std::span<const array> in);
  static std::vector<Maybe> vjp(const Call& call, std::span<const Maybe> cotangents);
};
// in: cache (1, H, S, D), rows (B, H, T, D).
struct AppendRow {
  using Kind = Fused;
  static constexpr Spec spec{"append_row", Types::number, "A cache and a row's new positions."};
  struct P {
    int64_t row = 0, start = 0;
    TARN_FIELDS(row)
    TARN_RUNTIME_FIELDS(start)
  };
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays expand(const Params& params, std::span<const array> in);
};
// in: queries (B, Hq, 1, D), and keys and values of each row, (1, Hk, S, D) and (1, Hk, S, Dv).
struct RaggedAttention {
  using Kind = Fused;
  static constexpr Spec spec{"ragged_attention", Types::floating,
                             "A query a row over keys and values of its own."};
  struct P {
    float scale = 1;
    Shape lengths{};  // keys that count, of each row
    TARN_FIELDS(scale)
    TARN_RUNTIME_FIELDS(lengths)
  };
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays expand(const Params& params, std::span<const array> in);
};

using RaggedOps = List<RopeRows, AppendRow, RaggedAttention>;

// Whether these calls are possible.
bool is_row_of(const AppendRow::P& p, const array& cache, const array& rows);
bool are_keys_of(const array& q, const array& k, const array& v, int64_t length);

// The pairs of the last axis' first `dims` numbers, each turned by its angle (..., dims / 2).
array turned(const array& x, const array& angle, int64_t dims, bool traditional);

}  // namespace tarn::ops
