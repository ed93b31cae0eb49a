// GGUF metadata values brought to the types that programs ask for.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tarn/gguf.h"

namespace tarn::io {

// Value i of a list, or the single value with i = 0. Nothing when it is of another kind: an integer
// is any integer type that fits int64, a number any integer or float.
std::optional<int64_t> integer_at(const GgufValue& v, uint64_t i);
std::optional<double> number_at(const GgufValue& v, uint64_t i);

// The texts of a list, or the single one. Requires v.type == string.
std::vector<std::string_view> texts_of(const GgufValue& v);

}  // namespace tarn::io
