// 16 rows of W for int8 tiles: bytes of a chunk of columns, and scales and biases, unpacked a part
// at a time.
#pragma once

#include "cpu/heavy_amx.h"
#include "cpu/heavy_codes.h"
#include "cpu/heavy_dot.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kStepUnits = 2;  // that meet at once
constexpr int64_t kStepCols = kStepUnits * kUnitCols;
constexpr int64_t kBlockSteps = kPackBlock / kStepCols;
constexpr int64_t kBlockUnits = kPackBlock / kUnitCols;

constexpr int64_t kPartRows = kTileRows / 2;  // are unpacked at a time
constexpr int64_t kChunkBlocks = 2;           // more would leave no room in L1
constexpr int64_t kChunkCols = kChunkBlocks * kPackBlock;
constexpr int64_t kChunkSteps = kChunkCols / kStepCols;

// A chunk of 16 rows of W: bytes, each unit's in the order of the digits.
struct Chunk {
  const uint8_t* codes = nullptr;
  int64_t stride = kChunkCols;
};

// Scales and biases of 16 rows, row by row, each once for every unit of its group.
struct Groups {
  float* scales = nullptr;
  float* biases = nullptr;
  int64_t stride = 0;
};

// Rows one behind the other are filled as one where a step's two scales are of one row.
int64_t group_stride(const QuantMatrix& w) {
  const int64_t groups = w.cols / w.group;
  if (w.group == kUnitCols && groups % kStepUnits == 0) return groups;
  return round_up(groups, kLanes) * (w.group / kUnitCols);
}
// Of 16 rows, and what the last row's vectors store past its end.
int64_t row_groups_floats(const QuantMatrix& w) {
  return round_up(kTileRows * group_stride(w), kLanes) + kLanes;
}

// 4 bits: 128 columns of 8 rows, each unit's even columns and then its odd ones. Bytes past the
// row's end are zeros.
void spread_nibbles(const QuantMatrix& w, int64_t row, int64_t block, uint8_t* to) {
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  const int64_t at = block * kVectorBytes, bytes = w.cols / 2 - at;
  TARN_UNROLL
  for (int64_t r = 0; r < kPartRows; ++r, to += kChunkCols) {
    const Codes c = load_codes(code_row(w, smaller(row + r, w.rows - 1)) + at, bytes);
    const auto even = bits_as<__m512i>(low_nibbles(c)), odd = bits_as<__m512i>(high_nibbles(c));
    _mm512_store_si512(to, _mm512_permutex2var_epi64(even, first, odd));
    _mm512_store_si512(to + kVectorBytes, _mm512_permutex2var_epi64(even, second, odd));
  }
}

// Other widths.
void unpack_rows(const QuantMatrix& w, int64_t row, int64_t block, uint8_t* to) {
  const int64_t col = block * kPackBlock, cols = smaller(kPackBlock, w.cols - col);
  for (int64_t r = 0; r < kPartRows; ++r, to += kChunkCols)
    unpack_codes(w.bits, code_row(w, smaller(row + r, w.rows - 1)) + col * w.bits / 8, cols, to);
}

template <int Each, Store S>
TARN_INLINE void fill_groups(const void* from, int64_t at, int64_t groups, int64_t total,
                             float* to) {
  for (int64_t g = 0; g < groups; g += kLanes) {
    const Vf all = load_groups<S>(from, at + g, smaller(kLanes, groups - g), total);
    for (int part = 0; part < Each; ++part, to += kLanes) {
      Vi group;
      for (int l = 0; l < kLanes; ++l) group[l] = (part * kLanes + l) / Each;
      const __m512 spread = _mm512_permutexvar_ps(bits_as<__m512i>(group), bits_as<__m512>(all));
      store(to, Each == 1 ? all : bits_as<Vf>(spread));
    }
  }
}

// Rows past the end repeat the last, and are not stored.
template <int Each, Store S>
void fill_groups_of(const QuantMatrix& w, int64_t row, const Groups& to) {
  const int64_t groups = w.cols / w.group, total = w.rows * groups;
  const auto fill = [&](int64_t first, int64_t count, int64_t at) {
    fill_groups<Each, S>(w.scales, first * groups, count * groups, total, to.scales + at);
    fill_groups<Each, S>(w.biases, first * groups, count * groups, total, to.biases + at);
  };
  if (to.stride == groups && row + kTileRows <= w.rows) return fill(row, kTileRows, 0);
  for (int64_t r = 0; r < kTileRows; ++r) fill(smaller(row + r, w.rows - 1), 1, r * to.stride);
}

void fill_groups_of(const QuantMatrix& w, int64_t row, const Groups& to) {
  with_store(w.scale_type, [&]<Store S>() {
    w.group == 32   ? fill_groups_of<1, S>(w, row, to)
    : w.group == 64 ? fill_groups_of<2, S>(w, row, to)
                    : fill_groups_of<4, S>(w, row, to);
  });
}

// Whether bytes are used where they lie.
bool lie_ready(const QuantMatrix& w, int64_t row) {
  constexpr int64_t kPage = 4096;
  return w.bits == 8 && row + kTileRows <= w.rows && w.cols % kStepCols == 0 && w.cols % kPage != 0;
}

// A chunk that is unpacked, a part at a time, while the one before is multiplied.
class Filling {
 public:
  Filling() = default;
  Filling(const QuantMatrix& w, int64_t row, int64_t col, uint8_t* room)
      : w_(&w), row_(row), block_(col / kPackBlock), room_(room), chunk_{room, kChunkCols} {
    if (lie_ready(w, row))
      chunk_ = {code_row(w, row) + col, w.cols};
    else
      parts_ = 2 * smaller(kChunkBlocks, ceil_div(w.cols - col, kPackBlock));
  }
  TARN_INLINE void go_on() {
    if (done_ == parts_) return;
    const int64_t row = done_ % 2 * kPartRows, block = done_ / 2;
    uint8_t* to = room_ + row * kChunkCols + block * kPackBlock;
    w_->bits == 4 ? spread_nibbles(*w_, row_ + row, block_ + block, to)
                  : unpack_rows(*w_, row_ + row, block_ + block, to);
    ++done_;
  }
  Chunk finished() {
    while (done_ < parts_) go_on();
    return chunk_;
  }

 private:
  const QuantMatrix* w_ = nullptr;
  int64_t row_ = 0, block_ = 0, done_ = 0, parts_ = 0;
  uint8_t* room_ = nullptr;
  Chunk chunk_{};
};

// What the next 16 rows need, asked for a part at a time.
struct Ahead {
  const char* at[3];
  int64_t bytes[3];  // of each for one step

  TARN_INLINE void fetch(int64_t step) const {
    TARN_UNROLL
    for (int i = 0; i < 3; ++i)
      for (int64_t b = 0; b < bytes[i]; b += kTileRowBytes)
        __builtin_prefetch(at[i] + step * bytes[i] + b);
  }
};

Ahead ahead_of(const QuantMatrix& w, int64_t row) {
  const int64_t next = row + kTileRows, groups = w.cols / w.group;
  const int64_t bytes = kTileRows * groups * store_bytes(w.scale_type) * kStepCols / w.cols;
  return {{reinterpret_cast<const char*>(code_row(w, next)),
           static_cast<const char*>(at(w.scales, w.scale_type, next * groups)),
           static_cast<const char*>(at(w.biases, w.scale_type, next * groups))},
          {kTileRows * kStepCols * w.bits / 8, bytes, bytes}};
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
