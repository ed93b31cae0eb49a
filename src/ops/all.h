// The catalogue: every op, in the order of its kind.
#pragma once

#include <span>

#include "graph/op.h"

namespace tarn::ops {
std::span<const Op* const> all();
// The element types that an op computes in, in words: "floats, complex".
const char* types_of(const Op& op);
}
