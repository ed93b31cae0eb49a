// Steps of attention as calls.
#pragma once

#include "cuda/rows.h"
#include "ops/compound.h"
#include "runtime/backend.h"

namespace tarn::cuda {

// in: q, k, v, then mask and sinks as far as `p` has them.
AttentionCall attention_call(const Step& s, const ops::Attention::P& p);
// Whether launch_one_query does an ops::Attention step.
bool takes_one_query(const Step& s);

}  // namespace tarn::cuda
