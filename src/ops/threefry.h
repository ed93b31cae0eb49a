// Random words from keys: threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3"). Read by g++ and nvcc.
#pragma once

#include "base/scalar.h"

namespace tarn::ops {

struct RandomWords {
  unsigned a, b;
};
TARN_FN RandomWords threefry(unsigned k0, unsigned k1, unsigned c0, unsigned c1) {
  constexpr unsigned rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const unsigned keys[3] = {k0, k1, k0 ^ k1 ^ 0x1BD11BDAu};
  unsigned x = c0 + keys[0], y = c1 + keys[1];
  for (unsigned i = 0; i < 5; ++i) {
    for (unsigned r : rotations[i % 2]) {
      x += y;
      y = (y << r) | (y >> (32 - r));
      y ^= x;
    }
    x += keys[(i + 1) % 3];
    y += keys[(i + 2) % 3] + i + 1;
  }
  return {x, y};
}

// Words i and i + (words + 1) / 2 of a key's stream of `words`, which come from one hash; of an odd
// number the one in the middle stands alone.
TARN_FN RandomWords stream_pair(unsigned k0, unsigned k1, unsigned long i, unsigned long words) {
  unsigned long other = i + (words + 1) / 2;
  return threefry(k0, k1, static_cast<unsigned>(i),
                  other < words ? static_cast<unsigned>(other) : 0);
}
// Word w of it.
TARN_FN unsigned stream_word(unsigned k0, unsigned k1, unsigned long w, unsigned long words) {
  unsigned long half = (words + 1) / 2;
  return w < half ? stream_pair(k0, k1, w, words).a : stream_pair(k0, k1, w - half, words).b;
}

}  // namespace tarn::ops
