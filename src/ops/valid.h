// Calls that come from a file: whether a public function could have recorded them. Rules and
// kernels trust that, and do not look again.
#pragma once

#include <span>

#include "graph/op.h"

namespace tarn::ops {

// Whether check_call knows the op. Calls of others cannot be read from files.
bool has_check(const Op& op);
// Throws ValueError or ShapeError unless op.infer and the kernels can take the call. `params` are
// of the op's own type.
void check_call(const Op& op, const Params& params, std::span<const array> in);

}  // namespace tarn::ops
