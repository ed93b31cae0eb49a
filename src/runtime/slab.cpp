#include "runtime/slab.h"

#include <algorithm>
#include <numeric>

namespace tarn {
namespace {

constexpr size_t line = 64;
constexpr size_t slack = 64;  // kernels may load a vector past the end

size_t padded(size_t bytes) { return (bytes + slack + line - 1) / line * line; }

}  // namespace

size_t place_in_slab(std::vector<Lifetime>& lives) {
  std::vector<size_t> order(lives.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lives[a].first < lives[b].first; });
  std::vector<size_t> active;  // sorted by address
  size_t total = 0;
  for (size_t i : order) {
    Lifetime& life = lives[i];
    std::erase_if(active, [&](size_t a) { return lives[a].last < life.first; });
    size_t need = padded(life.bytes), at = 0;
    auto gap = active.begin();
    for (; gap != active.end() && lives[*gap].at < at + need; ++gap)
      at = lives[*gap].at + padded(lives[*gap].bytes);
    life.at = at;
    total = std::max(total, at + need);
    active.insert(gap, i);
  }
  return total;
}

}  // namespace tarn
