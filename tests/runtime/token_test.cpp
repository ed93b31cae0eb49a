// What a prompt and a token are on a device: attention of many queries, attention that turns and
// appends, products that are folded.
#include <cmath>
#include <limits>

#include "runtime/second_memory.h"
#include "tarn/fast.h"
#include "tarn/ops/quantized.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

class Decoding : public tarn_test::OnDevice {};

using tarn_test::normal;

// As a share of the largest.
double apart(const array& a, const array& b) {
  StreamContext on_cpu{Device::cpu};
  array x = astype(a, float32), y = astype(b, float32);
  return double{max(abs(x - y)).item<float>()} / double{max(abs(y)).item<float>()};
}

struct Heads {
  int64_t all, shared, size;
  Dtype dtype;
  int rope;  // 0: none, 1: powers of a base, 2: periods; 3: half of the columns, neighbours turned
};
// As a language model's.
struct Cache {
  array keys, values;
  int64_t length = 0;

  Cache(int64_t heads, int64_t size, Dtype dtype)
      : keys(zeros({1, heads, 512, size}, dtype)), values(zeros({1, heads, 512, size}, dtype)) {
    eval(keys, values);
  }
  array attend(const array& q, const array& k, const array& v) {
    Shape start{0, 0, length, 0}, stop = k.shape();
    stop[2] = length += k.shape(2);
    keys = slice_update(keys, k, start, stop);
    values = slice_update(values, v, start, stop);
    return fast::cached_attention(q, keys, values, 0.125f, length, q.shape(2) > 1);
  }
};
array turned(const Heads& h, const array& x, int64_t position) {
  array periods = exp(arange(0.0, static_cast<double>(h.size / 2), float32) * array(0.1f));
  if (h.rope == 0) return x;
  auto offset = static_cast<int>(position);
  if (h.rope == 2)
    return fast::rope(x, static_cast<int>(h.size), false, std::nullopt, 1.0f, offset, periods);
  if (h.rope == 3) return fast::rope(x, static_cast<int>(h.size / 2), true, 10000.0f, 0.5f, offset);
  return fast::rope(x, static_cast<int>(h.size), false, 10000.0f, 1.0f, offset);
}
// A prompt of 300 tokens, then one at a time. The result of each of those, and the keys.
std::vector<array> decoded(const Heads& h, Device d) {
  StreamContext context{d};
  Cache cache(h.shared, h.size, h.dtype);
  std::vector<array> results;
  for (int64_t step = 0; step < 8; ++step) {
    int64_t n = step == 0 ? 300 : 1, at = cache.length;
    auto seed = static_cast<uint64_t>(3 * step);
    // As projections give them: positions before heads.
    auto heads_of = [&](int64_t heads, uint64_t of) {
      return transpose(normal({1, n, heads, h.size}, seed + of), {0, 2, 1, 3});
    };
    array q = heads_of(h.all, 0), k = heads_of(h.shared, 1), v = heads_of(h.shared, 2);
    array y = cache.attend(turned(h, q + array(0.0f), at), turned(h, k + array(0.0f), at),
                           v + array(0.0f));
    std::vector<array> all{y, cache.keys, cache.values};
    eval(all);
    if (step > 0) results.push_back(y);
    if (step == 7) results.insert(results.end(), all.begin() + 1, all.end());
  }
  return results;
}

TEST_F(Decoding, AttentionTurnsAndAppendsAsOnTheCpu) {
  for (Heads h :
       {Heads{8, 2, 64, float16, 1}, Heads{6, 2, 128, float16, 2}, Heads{3, 3, 64, float32, 3},
        Heads{8, 1, 64, bfloat16, 0}, Heads{20, 2, 128, float32, 1}}) {
    SCOPED_TRACE(testing::Message() << h.all << " heads, " << h.shared << " of keys, of " << h.size
                                    << ", rope " << h.rope);
    auto want = decoded(h, Device::cpu), got = decoded(h, Device::gpu);
    ASSERT_EQ(want.size(), got.size());
    double most = h.dtype == float32 ? 1e-5 : h.dtype == float16 ? 2e-3 : 2e-2;
    for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(apart(got[i], want[i]), most) << i;
  }
}

TEST_F(Decoding, AttentionOverAnyNumberOfKeysIsTheCpus) {
  for (Dtype dtype : {float16, bfloat16, float32})
    for (int64_t size : {64, 128}) {
      array q = normal({1, 12, 1, size}, 1);
      array keys = astype(normal({1, 3, 4096, size}, 2), dtype, Device::cpu);
      array values = astype(normal({1, 3, 4096, size}, 3), dtype, Device::cpu);
      eval(keys, values);
      for (int64_t length : {1, 16, 17, 1024, 1025, 3001, 4096}) {
        SCOPED_TRACE(testing::Message() << length << " keys of " << size);
        auto attend = [&](Device d) {
          StreamContext context{d};
          array y = fast::cached_attention(q, keys, values, 0.125f, length, false);
          eval(y);
          return y;
        };
        // Two terms hold 16 bits of a query where those are bfloat16, and 22 in float16.
        double most = dtype == bfloat16 ? 1e-4 : 1e-5;
        EXPECT_LT(apart(attend(Device::gpu), attend(Device::cpu)), most);
      }
    }
}

TEST_F(Decoding, AttentionOfNoNumberIsNone) {
  StreamContext context{Device::gpu};
  array keys = astype(normal({1, 2, 64, 64}, 2), float16), values = keys + array(float16_t(1.0f));
  for (float odd : {std::numeric_limits<float>::quiet_NaN(), INFINITY, 1e30f}) {
    array q = normal({1, 8, 1, 64}, 1) * array(odd);
    array y = fast::cached_attention(q, keys, values, 0.125f, 50, false);
    float sum_of_all = sum(astype(y, float32)).item<float>();
    EXPECT_EQ(std::isfinite(sum_of_all), odd == 1e30f) << odd;
  }
}

TEST_F(Decoding, ACacheThatIsHeldIsNotWrittenTo) {
  StreamContext context{Device::gpu};
  Cache cache(2, 64, float16);
  std::vector<array> held;
  for (uint64_t step = 0; step < 4; ++step) {
    array q = normal({1, 8, 1, 64}, step), k = normal({1, 2, 1, 64}, step + 10);
    array y = cache.attend(fast::rope(q, 64, false, 10000.0f, 1.0f, int(step)),
                           fast::rope(k, 64, false, 10000.0f, 1.0f, int(step)), k);
    eval(y, cache.keys, cache.values);
    held.push_back(cache.keys);
  }
  // Each holds a position more than the one before.
  for (int64_t step = 0; step < 4; ++step) {
    array at = slice(held[static_cast<size_t>(step)], {0, 0, step, 0}, {1, 2, step + 2, 64});
    array sums = sum(abs(astype(at, float32)), std::vector<int>{0, 1, 3});
    EXPECT_GT(sums.data<float>()[0], 0.0f);
    EXPECT_EQ(sums.data<float>()[1], 0.0f);
  }
}

struct Codes {
  array codes, scales, biases;
};
Codes codes_of(int64_t n, int64_t k, int group, Dtype dtype, uint64_t seed) {
  StreamContext on_cpu{Device::cpu};
  auto q = quantize(normal({n, k}, seed), group, 4);
  Codes c{q[0], astype(q[1], dtype), astype(q[2], dtype)};
  eval({c.codes, c.scales, c.biases});
  return c;
}
array times(const array& x, const Codes& c, int group) {
  return quantized_matmul(x, c.codes, c.scales, c.biases, true, group, 4);
}

TEST_F(Decoding, ProductsOfOneRowAreTheCpus) {
  for (int group : {32, 64, 128})
    for (Dtype dtype : {float32, float16, bfloat16})
      for (int64_t n : {3000, 72})
        for (int64_t k : {512, 3072, 9728}) {
          SCOPED_TRACE(testing::Message() << n << " x " << k << ", groups of " << group);
          Codes a = codes_of(n, k, group, dtype, 1), b = codes_of(n, k, group, dtype, 2);
          array x = normal({1, k}, 4), y = normal({1, n}, 5), weight = normal({k}, 6);
          auto compute = [&](Device d) {
            StreamContext context{d};
            PrecisionScope scope(Precision::balanced);
            array normed = fast::rms_norm(x + array(0.0f), weight, 1e-5f);
            array gate = times(normed, a, group), up = times(normed, b, group);
            array gated = sigmoid(x) * x * weight;
            std::vector<array> results{sigmoid(gate) * gate * up, y + times(x, a, group),
                                       times(gated, b, group)};
            eval(results);
            return results;
          };
          auto want = compute(Device::cpu), got = compute(Device::gpu);
          for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(apart(got[i], want[i]), 1e-3) << i;
        }
}

// A product begins while the kernel in front of it runs, and has its weights on the way by then:
// unless that kernel makes them.
TEST_F(Decoding, WeightsThatAStepMakesAreWaitedFor) {
  constexpr int group = 64;
  Codes c = codes_of(6000, 4096, group, float16, 1);
  array x = normal({1, 4096}, 2), weight = normal({4096}, 3);
  for (Precision precision : {Precision::balanced, Precision::exact})
    for (uint32_t round = 0; round < 6; ++round) {
      auto compute = [&](Device d) {
        StreamContext context{d};
        PrecisionScope scope(precision);
        Codes made{c.codes ^ array(round * 0x11111111u), c.scales * array(float16_t(0.5f + round)),
                   c.biases * array(float16_t(0.5f + round))};
        array y = times(fast::rms_norm(x, weight * array(1.0f + float(round)), 1e-5f), made, group);
        eval(y);
        return y;
      };
      EXPECT_LT(apart(compute(Device::gpu), compute(Device::cpu)), 1e-3) << round;
    }
}

// --- prompts

class Prompts : public tarn_test::OnDevice {};

// Several of one x, which are one launch. Both factors are rounded to bfloat16.
TEST_F(Prompts, ProductsOfManyRowsAreTheCpus) {
  for (int group : {32, 64, 128})
    for (Dtype dtype : {float16, bfloat16})
      for (int64_t rows : {9, 128, 300})
        for (int64_t k : {128, 1152, 2048}) {
          SCOPED_TRACE(testing::Message() << rows << " rows of " << k << ", groups of " << group);
          Codes a = codes_of(1000, k, group, dtype, 1), b = codes_of(72, k, group, dtype, 2);
          Codes c = codes_of(3, k, group, dtype, 3);
          array x = normal({1, rows, k}, 4);
          auto compute = [&](Device d) {
            StreamContext context{d};
            PrecisionScope scope(Precision::balanced);
            array y = x + array(0.0f);
            std::vector<array> results{times(y, a, group), times(y, b, group), times(y, c, group)};
            eval(results);
            return results;
          };
          auto want = compute(Device::cpu), got = compute(Device::gpu);
          for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(apart(got[i], want[i]), 1e-2) << i;
        }
}

double tolerance(Dtype queries, Dtype keys) {
  if (queries == float32) return keys == bfloat16 ? 1e-4 : 1e-5;
  return keys == bfloat16 ? 2e-2 : 2e-3;
}

struct ManyQueries {
  int64_t batch, heads, shared, queries, capacity, length, size;
};
// Keys behind the length are no numbers, which nothing may come of.
struct Given {
  array q, k, v;
  Given(const ManyQueries& s, Dtype queries, Dtype keys)
      : q(normal({s.batch, s.heads, s.queries, s.size}, 1, queries)),
        k(normal({s.batch, s.shared, s.capacity, s.size}, 2, keys)),
        v(normal({s.batch, s.shared, s.capacity, s.size}, 3, keys)) {
    if (s.length == s.capacity) return;
    StreamContext on_cpu{Device::cpu};
    Shape rest{s.batch, s.shared, s.capacity - s.length, s.size};
    array none = full(rest, array(std::numeric_limits<float>::quiet_NaN(), keys));
    k = slice_update(k, none, {0, 0, s.length, 0}, k.shape());
    v = slice_update(v, none, {0, 0, s.length, 0}, v.shape());
    eval(k, v);
  }
  array attended(Device d, int64_t length, const fast::AttentionOptions& o) const {
    StreamContext scope{d};
    array y = fast::cached_attention(q, k, v, length, o);
    eval(y);
    return y;
  }
  double difference(int64_t length, const fast::AttentionOptions& o) const {
    return apart(attended(Device::gpu, length, o), attended(Device::cpu, length, o));
  }
};

TEST_F(Prompts, AttentionIsTheCpus) {
  for (ManyQueries s :
       {ManyQueries{1, 4, 2, 300, 512, 300, 64}, ManyQueries{2, 2, 2, 130, 130, 130, 128},
        ManyQueries{1, 8, 1, 65, 1024, 700, 128}, ManyQueries{1, 2, 1, 9, 40, 40, 256},
        ManyQueries{1, 3, 3, 200, 400, 399, 256}})
    for (Dtype keys : {float16, bfloat16})
      for (Dtype queries : {float32, keys}) {
        Given given(s, queries, keys);
        for (bool causal : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << s.queries << " queries of " << s.size << " over " << s.length
                       << " keys, causal " << causal << ", float32 " << (queries == float32));
          EXPECT_LT(given.difference(s.length, {.scale = 0.1f, .causal = causal}),
                    tolerance(queries, keys));
        }
      }
}

TEST_F(Prompts, AttentionTakesWhatModelsAskFor) {
  array added = normal({2, 1, 150, 280}, 4), sinks = normal({4}, 5);
  StreamContext on_cpu{Device::cpu};
  array kept = normal({150, 280}, 6) > array(0.5f);
  array row = reshape(arange(0.0, 150.0), {150, 1});
  array some = logical_and(kept, row != array(70.0f));  // a query that sees nothing
  eval(kept, some);
  const fast::AttentionOptions cases[] = {
      {.scale = 0.1f, .causal = true, .window = 40},
      {.scale = 0.1f, .causal = true, .window = 1},
      {.scale = 0.1f, .window = 200, .sinks = sinks},
      {.scale = 0.1f, .causal = true, .softcap = 2, .sinks = sinks},
      {.scale = -0.1f, .causal = true},
      {.scale = 0.1f, .mask = added},
      {.scale = 0.1f, .causal = true, .mask = kept},
      {.scale = 0.1f, .causal = true, .window = 100, .mask = some},
  };
  for (int64_t size : {64, 128})
    for (Dtype queries : {float32, float16}) {
      ManyQueries s{2, 4, 2, 150, 300, 280, size};
      Given given(s, queries, float16);
      for (const auto& o : cases) {
        SCOPED_TRACE(testing::Message()
                     << &o - cases << ", size " << size << ", float32 " << (queries == float32));
        EXPECT_LT(given.difference(s.length, o), tolerance(queries, float16));
      }
    }
}

// Keys are met from the last to the first: scores grow by 2^1 to 2^50 from tile to tile.
TEST_F(Prompts, AttentionOfScoresThatGrow) {
  for (int64_t size : {64, 128, 256})
    for (float step : {0.02f, 0.05f, 0.3f})
      for (Dtype queries : {float32, float16}) {
        SCOPED_TRACE(testing::Message() << "size " << size << ", step " << step);
        Given given({1, 2, 1, 200, 600, 600, size}, queries, float16);
        array ramp = reshape(arange(600.0, 0.0, -1.0), {600, 1}) * array(step / float(size));
        given.q = abs(given.q), given.k = astype(array(0.1f) * given.k + ramp, float16);
        EXPECT_LT(given.difference(600, {.scale = 0.1f * std::sqrt(float(size)), .causal = true}),
                  queries == float32 ? 1e-4 : 2e-3);
      }
}

TEST_F(Prompts, AttentionReadsKeysThatLieOddly) {
  array q = normal({1, 4, 100, 64}, 1, float16);
  array wide = normal({1, 2, 128, 131}, 2, float16);
  auto attended = [&](Device d) {
    StreamContext scope{d};
    array k = slice(wide, {0, 0, 0, 1}, {1, 2, 128, 65}),
          v = slice(wide, {0, 0, 0, 67}, wide.shape());
    array y = fast::cached_attention(q, k, v, 0.1f, 128, true);
    eval(y);
    return y;
  };
  EXPECT_LT(apart(attended(Device::gpu), attended(Device::cpu)), 2e-3);
}

TEST_F(Prompts, AttentionOfWhatIsNoNumberIsNone) {
  StreamContext scope{Device::gpu};
  array q = normal({1, 2, 64, 64}, 1), k = normal({1, 2, 64, 64}, 2, float16);
  for (float odd : {std::numeric_limits<float>::quiet_NaN(), INFINITY}) {
    array y = fast::cached_attention(q * array(odd), k, k, 0.1f, 64, true);
    EXPECT_FALSE(isfinite(sum(y)).item<bool>()) << odd;
  }
}

}  // namespace
}  // namespace tarn
