// Caches by their definitions: every kind beside attention over all that may be seen, in chunks of
// any size; batches of rows beside single runs.
#include "tarn/lm/cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "tarn/fast.h"
#include "tarn/io.h"
#include "tarn/lm/model.h"
#include "tarn/ops.h"
#include "tarn/ops/quantized.h"
#include "tarn/random.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
using tarn::array;
using tarn::Shape;

constexpr int64_t heads = 4, shared = 2, size = 32;

array drawn(int64_t count, int64_t n, uint64_t seed) {
  return tarn::random::normal({1, count, n, size}, tarn::float32, 0.0f, 1.0f,
                              tarn::random::key(seed));
}
array part(const array& x, int64_t from, int64_t to) {
  Shape stop = x.shape();
  stop[2] = to;
  return tarn::slice(x, {0, 0, from, 0}, stop);
}
double worst_difference(const array& a, const array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return double{tarn::max(tarn::abs(a - b)).item<float>()};
}

// What each of the n positions may see, written out.
array seen(int64_t n, int64_t max_size, int64_t keep, int64_t window) {
  std::vector<uint8_t> mask;
  for (int64_t p = 0; p < n; ++p)
    for (int64_t j = 0; j < n; ++j) {
      bool ring = max_size == 0 || j < keep || p - j < max_size - keep;
      mask.push_back(j <= p && ring && (window == 0 || p - j < window) ? 1 : 0);
    }
  return tarn::astype(array(mask.begin(), Shape{n, n}, tarn::uint8), tarn::bool_);
}

array by_definition(const array& q, const array& k, const array& v, const array& mask,
                    const Attend& how) {
  tarn::fast::AttentionOptions o{.scale = how.scale, .softcap = how.softcap};
  o.mask = mask;
  return tarn::fast::attention(q, k, v, o);
}

template <class C>
array in_chunks(C cache, const array& q, const array& k, const array& v, int64_t chunk,
                const Attend& how) {
  std::vector<array> results;
  for (int64_t at = 0; at < q.shape(2); at += chunk) {
    int64_t to = std::min(at + chunk, q.shape(2));
    results.push_back(cache.attend(part(q, at, to), part(k, at, to), part(v, at, to), how));
    EXPECT_EQ(cache.length(), to);
  }
  return tarn::concatenate(results, 2);
}

// ---- Kinds of cache ----

TEST(Caches, PlainOnesSeeAllBefore) {
  constexpr int64_t n = 300;
  array q = drawn(heads, n, 1), k = drawn(shared, n, 2), v = drawn(shared, n, 3);
  for (float softcap : {0.0f, 2.0f})
    for (int64_t window : {0, 7}) {
      Attend how{.scale = 0.3f, .softcap = softcap, .window = window};
      array want = by_definition(q, k, v, seen(n, 0, 0, window), how);
      for (int64_t chunk : {n, int64_t{64}, int64_t{7}, int64_t{1}})
        EXPECT_LT(worst_difference(in_chunks(PlainCache(), q, k, v, chunk, how), want), 2e-6)
            << "softcap " << softcap << ", window " << window << ", chunks of " << chunk;
    }
}

TEST(Caches, RotatingOnesSeeTheKeptAndTheLatest) {
  constexpr int64_t n = 70;
  array q = drawn(heads, n, 4), k = drawn(shared, n, 5), v = drawn(shared, n, 6);
  for (float softcap : {0.0f, 2.0f})
    for (auto [max_size, keep] : {std::pair<int64_t, int64_t>{16, 0}, {16, 4}, {70, 4}, {300, 0}}) {
      Attend how{.scale = 0.3f, .softcap = softcap};
      array want = by_definition(q, k, v, seen(n, max_size, keep, 0), how);
      for (int64_t chunk : {n, int64_t{33}, int64_t{16}, int64_t{5}, int64_t{1}})
        EXPECT_LT(
            worst_difference(in_chunks(RotatingCache(max_size, keep), q, k, v, chunk, how), want),
            2e-6)
            << max_size << " of which " << keep << " kept, chunks of " << chunk;
    }
}

// Decoding after a chunk that wrapped, and chunks after decoding.
TEST(Caches, RotatingOnesTakeTurnsOfAnySize) {
  constexpr int64_t n = 60;
  array q = drawn(heads, n, 7), k = drawn(shared, n, 8), v = drawn(shared, n, 9);
  Attend how{.scale = 0.3f};
  for (int64_t keep : {0, 3}) {
    RotatingCache cache(12, keep);
    std::vector<array> results;
    int64_t at = 0;
    for (int64_t step : {5, 1, 1, 9, 1, 1, 1, 20, 1, 2, 1, 17}) {
      results.push_back(cache.attend(part(q, at, at + step), part(k, at, at + step),
                                     part(v, at, at + step), how));
      at += step;
    }
    ASSERT_EQ(at, n);
    EXPECT_LT(worst_difference(tarn::concatenate(results, 2),
                               by_definition(q, k, v, seen(n, 12, keep, 0), how)),
              2e-6);
  }
}

TEST(Caches, QuantisedOnesHoldWhatQuantizeMakes) {
  constexpr int64_t n = 40;
  tarn::PrecisionScope scope(tarn::Precision::exact);
  array q = drawn(heads, n, 10), k = drawn(shared, n, 11), v = drawn(shared, n, 12);
  auto rounded = [](const array& x, int bits) {
    auto parts = tarn::quantize(x, 32, bits);
    return tarn::dequantize(parts[0], parts[1], parts[2], 32, bits);
  };
  for (int bits : {4, 8})
    for (float softcap : {0.0f, 2.0f}) {
      Attend how{.scale = 0.3f, .softcap = softcap};
      array want = by_definition(q, rounded(k, bits), rounded(v, bits), seen(n, 0, 0, 0), how);
      for (int64_t chunk : {n, int64_t{7}, int64_t{1}})
        EXPECT_LT(worst_difference(in_chunks(QuantisedCache(bits, 32), q, k, v, chunk, how), want),
                  5e-6);
    }
}

TEST(Caches, QuantisationBeginsWhereItIsToldTo) {
  LayerShape shape{shared, size, size};
  CacheOptions options{.bits = 8, .group_size = 32, .quantised_start = 5};
  LayerCache cache(shape, options);
  auto step = [&](int64_t n) {
    cache.attend(drawn(heads, n, 1), drawn(shared, n, 2), drawn(shared, n, 3), {});
  };
  step(4);
  EXPECT_TRUE(std::holds_alternative<PlainCache>(cache.kind()));
  step(1);
  EXPECT_TRUE(std::holds_alternative<PlainCache>(cache.kind()));
  step(1);
  EXPECT_TRUE(std::holds_alternative<QuantisedCache>(cache.kind()));
  EXPECT_EQ(cache.length(), 6);
}

TEST(Caches, TruncatedOnesGoOnFromThere) {
  constexpr int64_t n = 30;
  array q = drawn(heads, n, 13), k = drawn(shared, n, 14), v = drawn(shared, n, 15);
  LayerShape shape{shared, size, size};
  for (const CacheOptions& options :
       {CacheOptions{}, CacheOptions{.max_size = 30}, CacheOptions{.bits = 8, .group_size = 32}}) {
    LayerCache cache(shape, options);
    Attend how{.scale = 0.3f};
    array whole = cache.attend(q, k, v, how);
    ASSERT_TRUE(cache.can_truncate(20));
    EXPECT_FALSE(cache.can_truncate(31));
    cache.truncate(20);
    EXPECT_EQ(cache.length(), 20);
    array again = cache.attend(part(q, 20, n), part(k, 20, n), part(v, 20, n), how);
    EXPECT_LT(worst_difference(again, part(whole, 20, n)), 2e-6);
  }
  Cache over{.layers = {LayerCache(shape, {.max_size = 16})}};
  over.layers[0].attend(q, k, v, {});
  EXPECT_FALSE(over.can_truncate(20));
  EXPECT_TRUE(over.can_truncate(30));
  try {
    over.truncate(20);
    FAIL();
  } catch (const tarn::ValueError& e) {
    EXPECT_EQ(std::string(e.message()), "[cache] cannot go back from 30 positions to 20.");
  }
}

TEST(Caches, CopiesGoOnApart) {
  LayerShape shape{shared, size, size, 8};
  LayerCache one(shape, {});
  Attend how{.scale = 0.3f};
  one.attend(drawn(heads, 6, 1), drawn(shared, 6, 2), drawn(shared, 6, 3), how);
  LayerCache other = one, third = one;
  array k = drawn(shared, 1, 4), k2 = drawn(shared, 1, 5), q = drawn(heads, 1, 6);
  array a = one.attend(q, k, k, how), b = other.attend(q, k2, k2, how);
  EXPECT_GT(worst_difference(a, b), 1e-3);
  EXPECT_EQ(worst_difference(third.attend(q, k, k, how), a), 0);
}

TEST(Caches, OptionsThatCannotBe) {
  auto error = [](const CacheOptions& o, int64_t head = size) {
    try {
      check(o);
      LayerCache cache({shared, head, head}, o);
    } catch (const tarn::Error& e) {
      return std::string(e.message());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error({.dtype = tarn::int32}),
            "[cache] dtype is int32; float32, float16 or bfloat16 is needed.");
  EXPECT_EQ(error({.max_size = -1}),
            "[cache] max_size is -1 and keep 4; 0 is for no limit, and fewer are kept than there "
            "are.");
  EXPECT_EQ(error({.max_size = 4, .keep = 4}),
            "[cache] max_size is 4 and keep 4; 0 is for no limit, and fewer are kept than there "
            "are.");
  EXPECT_EQ(error({.bits = 7}),
            "[cache] bits is 7; 0 (not quantised), 2, 3, 4, 5, 6 or 8 is needed.");
  EXPECT_EQ(error({.bits = 4, .group_size = 16}),
            "[cache] group_size is 16; 32, 64 or 128 is needed.");
  EXPECT_EQ(error({.max_size = 64, .bits = 4}),
            "[cache] max_size is 64 and bits 4: a ring is not quantised. Choose one of them.");
  EXPECT_EQ(error({.quantised_start = -1}), "[cache] quantised_start is -1; 0 or more is needed.");
  EXPECT_EQ(error({.bits = 4, .group_size = 64}),
            "[cache] heads of size 32 and 32 do not make groups of 64. Choose another group_size.");
  EXPECT_EQ(error({.bits = 4, .group_size = 32}), "no error");
}

// ---- Files ----

class CacheFiles : public testing::Test {
 protected:
  void SetUp() override {
    auto* test = testing::UnitTest::GetInstance()->current_test_info();
    file_ = (std::filesystem::temp_directory_path() /
             fmt::format("tarn-cache-{}-{}.safetensors", test->name(), getpid()))
                .string();
  }
  void TearDown() override { std::filesystem::remove(file_); }

  // What loading says of a file with these contents, with FILE for its name.
  std::string error(const std::unordered_map<std::string, array>& arrays,
                    const CacheMetadata& metadata) {
    tarn::save_safetensors(file_, arrays, metadata);
    try {
      load_cache(file_);
    } catch (const tarn::FileError& e) {
      std::string text = e.message();
      if (auto at = text.find(file_); at != std::string::npos)
        text.replace(at, file_.size(), "FILE");
      return text;
    }
    return "no error";
  }
  std::string file_{};
};

TEST_F(CacheFiles, LoadedOnesGoOnAsTheSavedOnesDo) {
  LayerShape full{shared, size, size}, near{shared, size, size, 8};
  Attend how{.scale = 0.3f};
  for (const CacheOptions& options :
       {CacheOptions{}, CacheOptions{.dtype = tarn::bfloat16}, CacheOptions{.max_size = 12},
        CacheOptions{.bits = 8, .group_size = 32}})
    for (int64_t n : {0, 5, 12, 20, 21}) {
      Cache cache{.layers = {LayerCache(full, options), LayerCache(near, options)}};
      auto step = [&](Cache& c, int64_t count, uint64_t seed) {
        std::vector<array> all;
        for (auto& layer : c.layers)
          all.push_back(layer.attend(drawn(heads, count, seed), drawn(shared, count, seed + 1),
                                     drawn(shared, count, seed + 2), how));
        return tarn::concatenate(all, 2);
      };
      if (n > 0) step(cache, n, 1);
      if (n == 20) step(cache, 1, 4);  // decoded on, so that the ring has turned
      save_cache(file_, cache, {{"model", "m"}, {"tokens", "1 2"}});
      auto [loaded, metadata] = load_cache(file_);
      EXPECT_EQ(metadata, (CacheMetadata{{"model", "m"}, {"tokens", "1 2"}}));
      EXPECT_EQ(loaded.length(), cache.length());
      if (n == 0) continue;
      for (int64_t count : {1, 3, 1})
        EXPECT_EQ(worst_difference(step(cache, count, 7), step(loaded, count, 7)), 0)
            << n << " positions, then " << count;
    }
}

TEST_F(CacheFiles, FormBefore031) {
  constexpr int64_t n = 6;
  array k = drawn(shared, n, 1), v = drawn(shared, n, 2);
  tarn::save_safetensors(file_, {{"0.0", k}, {"0.1", v}, {"1.0", k}, {"1.1", v}},
                         {{"0.0", ""},
                          {"0.1.0", "2"},
                          {"0.1.1", "8"},
                          {"0.1.2", "6"},
                          {"0.1.3", "6"},
                          {"1.model", "old"},
                          {"2.0", "KVCache"},
                          {"2.1", "RotatingKVCache"}});
  auto [cache, metadata] = load_cache(file_);
  EXPECT_EQ(metadata, (CacheMetadata{{"model", "old"}}));
  EXPECT_EQ(cache.length(), n);
  EXPECT_TRUE(std::holds_alternative<RotatingCache>(cache.layers[1].kind()));
}

TEST_F(CacheFiles, DamagedOnes) {
  using Arrays = std::unordered_map<std::string, array>;
  auto number = [](int n) { return array(n, tarn::int32); };
  array k = drawn(shared, 4, 1), short_k = drawn(shared, 3, 1);
  CacheMetadata plain{{"2.0", ""}, {"1.0", "KVCache"}};
  CacheMetadata ring{{"2.0", ""}, {"1.0", "RotatingKVCache"}};
  CacheMetadata quantised{{"2.0", ""}, {"1.0", "QuantizedKVCache"}};
  Arrays good{{"0.0", k}, {"0.1", k}, {"0.2", number(4)}};
  auto with = [&](Arrays arrays, const std::string& name, const array& a) {
    arrays.insert_or_assign(name, a);
    return arrays;
  };
  EXPECT_EQ(error(good, plain), "no error");
  EXPECT_EQ(error(good, {}), "[load_cache] FILE holds no cache of a prompt.");
  EXPECT_EQ(error(good, {{"2.0", ""}, {"1.0", "Mamba\nCache"}}),
            "[load_cache] FILE: layer 0 is a Mamba\\x0aCache; these can be read: KVCache, "
            "RotatingKVCache, QuantizedKVCache.");
  EXPECT_EQ(error({{"0.0", k}, {"0.2", number(4)}}, plain),
            "[load_cache] FILE: layer 0: the array 1 is missing.");
  EXPECT_EQ(error({{"0.0", k}, {"0.1", k}}, plain),
            "[load_cache] FILE: layer 0: 0 numbers; 1 is needed.");
  EXPECT_EQ(error(with(good, "0.2", number(5)), plain),
            "[load_cache] FILE: layer 0: keys of shape (1, 2, 4, 32) and values of (1, 2, 4, 32) "
            "do not hold 5 positions of one sequence.");
  EXPECT_EQ(error(with(good, "0.2", number(-1)), plain),
            "[load_cache] FILE: layer 0: keys of shape (1, 2, 4, 32) and values of (1, 2, 4, 32) "
            "do not hold -1 positions of one sequence.");
  EXPECT_EQ(error(with(good, "0.2", array(4.0f)), plain),
            "[load_cache] FILE: layer 0: a number of shape () and float32 is not an integer.");
  EXPECT_EQ(error(with(good, "0.1", short_k), plain),
            "[load_cache] FILE: layer 0: keys of shape (1, 2, 4, 32) and values of (1, 2, 3, 32) "
            "do not hold 4 positions of one sequence.");
  auto ring_of = [&](int length, int keep, int most, int next) {
    return Arrays{{"0.0", k},
                  {"0.1", k},
                  {"0.2", number(length)},
                  {"0.3", number(keep)},
                  {"0.4", number(most)},
                  {"0.5", number(next)}};
  };
  EXPECT_EQ(error(ring_of(9, 0, 4, 2), ring), "no error");
  EXPECT_EQ(error(ring_of(9, 4, 4, 2), ring),
            "[load_cache] FILE: layer 0: a ring of 4 with 4 kept, 9 seen and the next at 2 cannot "
            "be.");
  EXPECT_EQ(error(ring_of(9, 0, 8, 2), ring),
            "[load_cache] FILE: layer 0: 4 positions are stored of 9, the next at 2: a ring of 8 "
            "needs them all.");
  EXPECT_EQ(error(ring_of(9, 0, 4, 5), ring),
            "[load_cache] FILE: layer 0: 4 positions are stored of 9, the next at 5: a ring of 4 "
            "needs them all.");
  EXPECT_EQ(error(ring_of(9, 2, 4, 1), ring),
            "[load_cache] FILE: layer 0: 4 positions are stored of 9, the next at 1: a ring of 4 "
            "needs them all.");
  EXPECT_EQ(error(ring_of(3, 0, 8, 2), ring),
            "[load_cache] FILE: layer 0: 3 positions are stored of 3, the next at 2: a ring of 8 "
            "needs them all.");
  EXPECT_EQ(error(with(good, "0.3", number(16)), quantised),
            "[load_cache] FILE: layer 0: 2 numbers; 3 are needed.");
  Arrays codes = with(with(good, "0.3", number(16)), "0.4", number(4));
  EXPECT_EQ(error(codes, quantised),
            "[load_cache] FILE: layer 0: 4 positions in 4 bits and groups of 16 cannot be.");
  EXPECT_EQ(error(with(codes, "0.3", number(32)), quantised),
            "[load_cache] FILE: layer 0: the array 0.0 is missing.");
  CacheMetadata two{{"2.0", ""}, {"1.0", "KVCache"}, {"1.1", "KVCache"}};
  Arrays apart = good;
  for (const char* name : {"1.0", "1.1"}) apart.emplace(name, short_k);
  apart.emplace("1.2", number(3));
  EXPECT_EQ(error(apart, two), "[load_cache] FILE: layer 1 has 3 positions, layer 0 has 4.");
}

// ---- Passes ----

TEST(Passes, IdsThatDoNotFitTheRows) {
  auto error = [](const Pass& pass, const Shape& shape) {
    try {
      pass.check(tarn::zeros(shape, tarn::int32));
    } catch (const tarn::ShapeError& e) {
      return std::string(e.message());
    }
    return std::string("no error");
  };
  Pass pass;
  EXPECT_EQ(error(pass, {3, 4}), "no error");
  EXPECT_EQ(error(pass, {4}), "[model] ids have shape (4); rows of tokens are needed.");
  pass.rows.resize(2);
  EXPECT_EQ(error(pass, {3, 4}),
            "[model] ids have shape (3, 4) for 2 sequences: a row for each is needed.");
  for (const auto& counts : {std::vector<int64_t>{1, 3}, {4, 0}, {4}}) {
    pass.counts = counts;
    EXPECT_EQ(error(pass, {1, 5}),
              fmt::format("[model] ids have shape (1, 5) for 2 sequences with {} tokens: (1, {}) "
                          "and a positive count for each are needed.",
                          counts.size() == 1 ? "4"
                          : counts[1] == 3   ? "1, 3"
                                             : "4, 0",
                          4));
  }
  pass.counts = {2, 3};
  EXPECT_EQ(error(pass, {1, 5}), "no error");
}

}  // namespace
}  // namespace tarn_test
