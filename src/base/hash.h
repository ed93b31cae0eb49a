// A 128-bit running hash for structures: two independent multiply-and-fold lanes.
#pragma once

#include <cstdint>
#include <string_view>

namespace tarn {

struct Hash {
  uint64_t a = 0x9e3779b97f4a7c15, b = 0xc2b2ae3d27d4eb4f;

  void add(uint64_t v) {
    a = fold(a ^ v, 0xa0761d6478bd642f);
    b = fold(b ^ v, 0xe7037ed1a0b428db);
  }
  void add(std::string_view text) {
    add(text.size());
    for (char c : text) add(static_cast<uint64_t>(static_cast<unsigned char>(c)));
  }
  friend bool operator==(const Hash&, const Hash&) = default;

 private:
  static uint64_t fold(uint64_t x, uint64_t k) {
    __extension__ using Wide = unsigned __int128;
    auto wide = static_cast<Wide>(x + 0x2545f4914f6cdd1d) * k;
    return static_cast<uint64_t>(wide) ^ static_cast<uint64_t>(wide >> 64);
  }
};

struct HashOfHash {
  size_t operator()(const Hash& h) const { return h.a; }
};

}  // namespace tarn
