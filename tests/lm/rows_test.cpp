// Rows of a batch that take a step together, beside the same rows one by one: for every kind of
// cache the numbers are the same.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "error_of.h"
#include "tarn/fast.h"
#include "tarn/lm/model.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
using tarn::array;
using tarn::Shape;

constexpr int64_t heads = 6, shared = 2, size = 32, rows = 5;

array drawn(int64_t count, int64_t n, int64_t of_head, uint64_t seed) {
  return tarn::random::normal({count, n, of_head, size}, tarn::float32, 0.0f, 1.0f,
                              tarn::random::key(seed));
}
array turn(const array& x, int64_t offset) {
  return tarn::fast::rope(x, 16, false, 100.0f, 1, static_cast<int>(offset));
}
array turn_rows(const array& x, const array& offsets) {
  return tarn::fast::rope(x, 16, false, 100.0f, 1, offsets);
}

// Rows that have seen 1, 20, 254, 40 and 300 positions.
Pass begun(const std::vector<CacheOptions>& options) {
  const int64_t lengths[rows] = {1, 20, 254, 40, 300};
  Pass pass;
  for (size_t row = 0; row < rows; ++row) {
    const CacheOptions& o = options[row % options.size()];
    Cache cache{.options = o};
    cache.layers.emplace_back(LayerShape{shared, size, size}, o);
    Pass one{.rows = {cache}};
    int64_t n = lengths[row];
    one.attend(0, drawn(1, n, heads, row), drawn(1, n, shared, row + 10),
               drawn(1, n, shared, row + 20), turn, {});
    pass.rows.push_back(one.rows[0]);
  }
  return pass;
}

struct Case {
  std::string name{};
  std::vector<CacheOptions> options{};
  Attend how{.scale = 0.2f};
  bool together = true;  // in one operation
};

std::vector<Case> cases() {
  CacheOptions halves{.dtype = tarn::float16}, brain{.dtype = tarn::bfloat16};
  CacheOptions ring{.max_size = 32, .keep = 4}, quantised{.bits = 8, .group_size = 32};
  CacheOptions later = quantised;
  later.quantised_start = 1000;
  return {{"plain", {{}}},
          {"float16", {halves}},
          {"bfloat16", {brain}},
          {"rings", {ring}},
          {"rings beside plain ones", {ring, {}}},
          {"not quantised yet", {later}},
          {"two dtypes", {{}, halves}, {.scale = 0.2f}, false},
          {"quantised", {quantised}, {.scale = 0.2f}, false},
          {"quantised beside plain ones", {{}, quantised}, {.scale = 0.2f}, false},
          {"a window", {{}}, {.scale = 0.2f, .window = 30}, false},
          {"a soft cap", {{}}, {.scale = 0.2f, .softcap = 5}, false}};
}

TEST(RowsTogether, GiveTheNumbersOfEachAlone) {
  for (const Case& c : cases()) {
    Pass together = begun(c.options), apart = together;
    int turned = 0;
    auto counted = [&](const array& x, const array& offsets) {
      ++turned;
      return turn_rows(x, offsets);
    };
    for (uint64_t step = 0; step < 6; ++step) {
      array q = drawn(rows, 1, heads, 30 + step), k = drawn(rows, 1, shared, 40 + step);
      array v = drawn(rows, 1, shared, 50 + step);
      array got = together.attend(0, q, k, v, turn, c.how, counted);
      array want = apart.attend(0, q, k, v, turn, c.how);
      EXPECT_EQ(got.shape(), (Shape{rows, 1, heads * size}));
      EXPECT_TRUE(tarn::array_equal(got, want).item<bool>()) << c.name << " " << step;
      std::vector<array> caches;
      together.collect(caches), apart.collect(caches);
      eval(caches);
    }
    EXPECT_EQ(turned, c.together ? 12 : 0) << c.name;
    for (size_t row = 0; row < rows; ++row)
      EXPECT_EQ(together.rows[row].length(), apart.rows[row].length()) << c.name;
  }
}

TEST(RowsTogether, MayLeaveAndBeForked) {
  Pass pass = begun({{}});
  auto step = [](Pass& p, uint64_t seed) {
    auto n = static_cast<int64_t>(p.rows.size());
    return p.attend(0, drawn(n, 1, heads, seed), drawn(n, 1, shared, seed + 1),
                    drawn(n, 1, shared, seed + 2), turn, {}, turn_rows);
  };
  step(pass, 1).eval();
  Pass fork{.rows = {pass.rows[1], pass.rows[4]}};
  pass.rows.erase(pass.rows.begin() + 2);
  step(pass, 4).eval();
  Pass again = fork;
  array a = step(fork, 7);
  a.eval();
  EXPECT_TRUE(tarn::array_equal(a, step(again, 7)).item<bool>());
  EXPECT_EQ(pass.rows[1].length(), 22);
  EXPECT_EQ(fork.rows[0].length(), 22);
}

TEST(RowsTogether, QuantisedCachesTakeNone) {
  array keys = drawn(rows, shared, 1, 1);
  LayerCache cache{QuantisedCache(8, 32)};
  EXPECT_FALSE(cache.takes_rows({}));
  EXPECT_EQ(error_of([&] { cache.append_row(keys, keys, 0); }),
            "[cache] append_row is for caches whose takes_rows gives a dtype; this one is "
            "quantised.");
}

}  // namespace
}  // namespace tarn_test
