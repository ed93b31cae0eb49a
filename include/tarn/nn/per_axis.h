// A number for each of the N axes of positions; one number stands for all: `3`, `{3, 5}`.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <vector>

namespace tarn::nn {

template <size_t N>
struct PerAxis {
  std::array<int, N> of{};
  PerAxis() = default;
  PerAxis(int all) { of.fill(all); }
  PerAxis(std::array<int, N> each) : of(each) {}
  template <std::convertible_to<int>... I>
  requires(sizeof...(I) == N && N > 1) PerAxis(I... each) : of{static_cast<int>(each)...} {}

  std::vector<int> list() const { return {of.begin(), of.end()}; }
};

}  // namespace tarn::nn
