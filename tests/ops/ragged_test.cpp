// Operations on rows at places of their own, beside the same row by row.
#include "tarn/ops/ragged.h"

#include <gtest/gtest.h>

#include <vector>

#include "error_of.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::error_of;

array drawn(const Shape& shape, uint64_t seed) {
  return random::normal(shape, float32, 0.0f, 1.0f, random::key(seed));
}
array row_of(const array& x, int64_t row) {
  Shape start(x.ndim(), 0), stop = x.shape();
  start[0] = row, stop[0] = row + 1;
  return slice(x, start, stop);
}
bool same(const array& a, const array& b) { return array_equal(a, b).item<bool>(); }

TEST(RopeByRow, IsTheRotationOfEachRow) {
  array x = drawn({4, 3, 2, 24}, 1), freqs = array({1.0f, 3.0f, 10.0f, 40.0f});
  const std::vector<int64_t> at{0, 5000, -3, 904};
  array offsets(at.begin(), Shape{4}, int64);
  for (bool traditional : {false, true}) {
    array by_base = fast::rope(x, 24, traditional, 500.0f, 0.5f, offsets);
    array by_freqs = fast::rope(x, 8, traditional, {}, 1, astype(offsets, int32), freqs);
    for (int64_t r = 0; r < 4; ++r) {
      int offset = static_cast<int>(at[static_cast<size_t>(r)]);
      EXPECT_TRUE(same(row_of(by_base, r),
                       fast::rope(row_of(x, r), 24, traditional, 500.0f, 0.5f, offset)));
      EXPECT_TRUE(same(row_of(by_freqs, r),
                       fast::rope(row_of(x, r), 8, traditional, {}, 1, offset, freqs)));
    }
  }
  array flat = drawn({5, 8}, 2);
  EXPECT_TRUE(same(fast::rope(flat, 8, false, 100.0f, 1, array(int32_t{7})),
                   fast::rope(flat, 8, false, 100.0f, 1, 7)));
}

TEST(AppendRow, WritesTheRowsPositions) {
  for (Dtype t : {float32, float16, int8, complex64}) {
    array cache = astype(drawn({1, 2, 9, 4}, 1), t), more = astype(drawn({3, 2, 2, 4}, 2), t);
    for (int64_t start : {0, 3, 7}) {
      array want = slice_update(cache, row_of(more, 1), {0, 0, start, 0}, {1, 2, start + 2, 4});
      EXPECT_TRUE(same(append_row(cache, more, 1, start), want));
      array turned = transpose(contiguous(transpose(more, {0, 2, 1, 3})), {0, 2, 1, 3});
      EXPECT_TRUE(same(append_row(cache, turned, 1, start), want));
    }
  }
}

TEST(AppendRow, NamesWhatDoesNotFit) {
  array cache = zeros({1, 2, 9, 4}), more = zeros({3, 2, 2, 4});
  EXPECT_EQ(error_of([&] { append_row(cache, more, 1, 8); }),
            "[append_row] row 1 of rows of shape (3, 2, 2, 4) and float32, from position 8 of a "
            "cache of shape (1, 2, 9, 4) and float32 on: one of (B, H, T, D) that fits into "
            "(1, H, S, D) of that dtype is needed.");
  EXPECT_EQ(error_of([&] { append_row(cache, astype(more, float16), 3, 0); }),
            "[append_row] row 3 of rows of shape (3, 2, 2, 4) and float16, from position 0 of a "
            "cache of shape (1, 2, 9, 4) and float32 on: one of (B, H, T, D) that fits into "
            "(1, H, S, D) of that dtype is needed.");
}

struct Rows {
  array queries = drawn({3, 6, 1, 40}, 1);
  std::vector<array> keys{}, values{};
  std::vector<int64_t> lengths{200, 1, 37};

  explicit Rows(Dtype t) {
    const int64_t room[] = {256, 8, 37};
    for (uint64_t r = 0; r < 3; ++r) {
      keys.push_back(astype(drawn({1, 2, room[r], 40}, 2 + r), t));
      values.push_back(astype(drawn({1, 2, room[r], 24}, 5 + r), t));
    }
  }
};

TEST(RaggedAttention, IsTheAttentionOfEachRow) {
  for (Dtype t : {float32, float16, bfloat16}) {
    Rows r(t);
    array all = ragged_attention(r.queries, r.keys, r.values, r.lengths, 0.2f);
    EXPECT_EQ(all.shape(), (Shape{3, 6, 1, 24}));
    for (int64_t row = 0; row < 3; ++row) {
      auto i = static_cast<size_t>(row);
      array one = fast::cached_attention(row_of(r.queries, row), r.keys[i], r.values[i], 0.2f,
                                         r.lengths[i], false);
      EXPECT_TRUE(same(row_of(all, row), one)) << name_of(t) << " " << row;
    }
  }
}

TEST(RaggedAttention, NamesWhatDoesNotFit) {
  Rows r(float32);
  EXPECT_EQ(error_of([&] {
              ragged_attention(r.queries, r.keys, r.values, {1, 2}, 1);
            }),
            "[ragged_attention] queries have shape (3, 6, 1, 40), with 3 keys, 3 values and 2 "
            "lengths: (B, Hq, 1, D) and B of each are needed.");
  EXPECT_EQ(error_of([&] {
              ragged_attention(r.queries, r.keys, r.values, {1, 9, 1}, 1);
            }),
            "[ragged_attention] queries have shape (3, 6, 1, 40), keys (1, 2, 8, 40) and values "
            "(1, 2, 8, 24) of row 1, of which 9 count: (B, Hq, 1, D), (1, Hk, S, D) and "
            "(1, Hk, S, Dv) of floats, Hk dividing Hq, and 1 to S are needed.");
}

}  // namespace
}  // namespace tarn
