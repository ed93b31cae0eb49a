// Attention of one query together with what stands in front of it in decoding.
#pragma once

#include <vector>

#include "runtime/values.h"

namespace tarn::cuda {

// Makes one value of an attention whose query and new key are turned by rope and whose new key and
// value are put into caches that nobody else reads: those become views of what they were.
// `readers` has the values that read each value.
void fold_attention(std::vector<Value>& values, const std::vector<std::vector<int>>& readers);

}  // namespace tarn::cuda
