// Products with fewer rows of x than fill bfloat16 tiles: int8 tiles, in which a tile's columns are
// tokens.
#pragma once

#include "cpu/heavy.h"

namespace tarn::cpu::TARN_LEVEL {

size_t few_packed_bytes(int64_t m, int64_t cols);
void pack_few(const PackActivations& p, int worker, int workers);
size_t multiply_few_scratch(const Qmm& q, int workers);
void multiply_few(const Qmm& q, int worker, int workers);

}  // namespace tarn::cpu::TARN_LEVEL
