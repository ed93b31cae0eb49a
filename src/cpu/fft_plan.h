// The tables of a transform: made once a length, in double, and kept.
#pragma once

#include <memory>

#include "cpu/fft.h"

namespace tarn::cpu {

// Whether 2, 3, 5, 7, 11 and 13 are all the primes of n. Other lengths are planned in double only.
bool has_small_factors(int64_t n);

// The plan of lines of n >= 1 numbers, or, with `halves`, of real lines of 2n. Any thread may ask;
// what is returned stays while it is held.
template <class T>
std::shared_ptr<const FftPlan<T>> fft_plan(int64_t n, bool halves);
extern template std::shared_ptr<const FftPlan<float>> fft_plan(int64_t n, bool halves);
extern template std::shared_ptr<const FftPlan<double>> fft_plan(int64_t n, bool halves);

}  // namespace tarn::cpu
