// Random orders that a seed decides, the same on every machine.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace tarn::lm {

// SplitMix64 (Steele, Lea, Flood 2014).
class Random64 {
 public:
  explicit Random64(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // Below n, each number as likely but for one part in 2^64 / n.
  uint64_t below(uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(next()) * n) >> 64);
  }

 private:
  uint64_t state_;
};

template <class T>
void shuffle(std::vector<T>& items, Random64& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

}  // namespace tarn::lm
