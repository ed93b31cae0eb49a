// The parts of a transformer, each one op with a kernel of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tarn/array.h"
#include "tarn/cuda_kernel.h"

namespace tarn::fast {

// x / sqrt(mean(x^2) + eps) * weight over the last axis, in float32.
array rms_norm(const array& x, const std::optional<array>& weight, float eps,
               StreamOrDevice s = {});
// (x - mean) / sqrt(var + eps) * weight + bias over the last axis, in float32.
array layer_norm(const array& x, const std::optional<array>& weight,
                 const std::optional<array>& bias, float eps, StreamOrDevice s = {});
// logsumexp(logits) - logits[target] over the last axis, in float32, or float64 of float64. targets
// are integers of the other axes' shape; one outside [0, classes) throws IndexError when evaluated.
array cross_entropy(const array& logits, const array& targets, StreamOrDevice s = {});
// Rotary position embedding of x (..., T, D): pairs (2i, 2i + 1) when traditional, else
// (i, i + dims / 2), turned by (offset + t) * scale * base^(-2i / dims), or by
// (offset + t) * scale / freqs[i]. The rest of D passes through.
array rope(const array& x, int dims, bool traditional, std::optional<float> base, float scale,
           int offset, const std::optional<array>& freqs = std::nullopt, StreamOrDevice s = {});
// The same with an offset that is known when it is evaluated: one integer, or one for each row of
// x (B, ..., T, D).
array rope(const array& x, int dims, bool traditional, std::optional<float> base, float scale,
           const array& offset, const std::optional<array>& freqs = std::nullopt,
           StreamOrDevice s = {});
// softmax(scale * q k^T + mask) v. q (B, Hq, L, D), k and v (B, Hk, S, D); Hk divides Hq.
// mask_mode "" , "causal" (aligned to the end of the keys) or "array"; a bool mask keeps where
// true. force_fused throws ValueError for what has no kernel of its own, dtypes but float32.
array scaled_dot_product_attention(const array& queries, const array& keys, const array& values,
                                   float scale, const std::string& mask_mode = "",
                                   const std::optional<array>& mask_arr = {},
                                   const std::optional<array>& sinks = {}, bool force_fused = false,
                                   StreamOrDevice s = {});

struct AttentionOptions {
  float scale = 1;
  bool causal = false;           // aligned to the end of the keys
  int64_t window = 0;            // keys that a query looks back to, its own among them; 0: all
  float softcap = 0;             // scores become softcap * tanh(score / softcap); 0: none
  std::optional<array> mask{};   // broadcasts to (B, Hq, L, S): bool keeps where true, else added
  std::optional<array> sinks{};  // (Hq,): a logit more a head in the softmax, with no value
};
// Attention with everything that models ask for, see scaled_dot_product_attention. (Not in MLX.)
array attention(const array& queries, const array& keys, const array& values,
                const AttentionOptions& options, StreamOrDevice s = {});

// The same over the first `length` of S keys, for caches with room to grow. `length` may change
// from call to call without a new plan.
array cached_attention(const array& queries, const array& keys, const array& values, float scale,
                       int64_t length, bool causal, StreamOrDevice s = {});
// With all that attention takes; keys and values may be of a narrower dtype than queries, and a
// mask covers S keys or `length` of them.
array cached_attention(const array& queries, const array& keys, const array& values, int64_t length,
                       const AttentionOptions& options, StreamOrDevice s = {});

// The gated delta rule (Yang et al. 2024, "Gated Delta Networks"): a state S (Dv, Dk) a head, for
// each of T steps S = gate S, S = S + beta (v - S k) k^T, and S q as output. queries and keys
// (B, T, Hk, Dk), values (B, T, Hv, Dv), Hk dividing Hv; gates (B, T, Hv), or (B, T, Hv, Dk) with
// one a column of S; beta (B, T, Hv). initial_state (B, Hv, Dv, Dk), zeros when absent. Steps where
// the bool mask (B, T) is false leave the state and put out zeros. Gives the outputs (B, T, Hv, Dv)
// in the dtype of queries, keys and values, and the last state in float32, or float64 if any is.
std::vector<array> gated_delta_update(const array& queries, const array& keys, const array& values,
                                      const array& gates, const array& beta,
                                      const std::optional<array>& initial_state = std::nullopt,
                                      const std::optional<array>& mask = std::nullopt,
                                      StreamOrDevice s = {});

}  // namespace tarn::fast
