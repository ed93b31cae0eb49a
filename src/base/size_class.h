// The sizes in which memory is taken from the system, so that blocks can be used again.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>

namespace tarn {

constexpr size_t block_slack = 64;             // kernels may load one whole vector past the end
constexpr size_t huge_page = size_t{2} << 20;  // asked for by blocks of huge_from and more
constexpr size_t huge_from = size_t{4} << 20;
constexpr int size_classes = 48 * 4;  // four sizes an octave: at most 25 % is wasted

struct SizeClass {
  int index;
  size_t bytes;
};

constexpr SizeClass class_of(size_t bytes) {
  size_t n = std::max<size_t>(bytes + block_slack, 128);
  int octave = std::bit_width(n - 1) - 1;
  size_t quarter = size_t{1} << (octave - 2);
  size_t steps = (n - (size_t{1} << octave) + quarter - 1) / quarter;
  return {octave * 4 + static_cast<int>(steps), (size_t{1} << octave) + steps * quarter};
}

}  // namespace tarn
