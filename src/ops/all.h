// The catalogue: every op, in the order of its kind.
#pragma once

#include <span>

#include "graph/op.h"

namespace tarn::ops {
std::span<const Op* const> all();
}
