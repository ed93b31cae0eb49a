// Steps of attention as calls.
#pragma once

#include "cuda/rows.h"
#include "ops/compound.h"
#include "runtime/backend.h"

namespace tarn::cuda {

// Keys that count, of an ops::Attention step.
int64_t keys_that_count(const Step& s);
// in: q, k, v, then mask and sinks as far as `p` has them.
AttentionCall attention_call(const Step& s, const ops::Attention::P& p);
// Whether q, k, v, mask and sinks of an ops::Attention step are of types that kernels read.
bool takes_any_keys(const Step& s);
// Parts of add_rows and add_derivatives: what balanced precision rounds.
void add_rounded_attention(KernelTable& t);
void add_attention_back(KernelTable& t);
// Whether launch_one_query does an ops::Attention step.
bool takes_one_query(const Step& s);

}  // namespace tarn::cuda
