// Families beside transformers, with small random models: whole, cached, in batches, as GGUF.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "small_models.h"
#include "tarn/lm.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
using tarn::array;
using tarn::Shape;

using Families = SmallModels;

array every_fourth(const array& logits) {
  return tarn::slice(logits, {0, 3, 0}, logits.shape(), {1, 4, 1});
}
array tokens(const array& ids, int64_t row, int64_t from, int64_t to) {
  return tarn::slice(ids, {row, from}, {row + 1, to});
}
array positions(const array& logits, int64_t row, int64_t from, int64_t to) {
  return tarn::slice(logits, {row, from, 0}, {row + 1, to, logits.shape(2)});
}

TEST_F(Families, LogitsOfTransformers) {
  auto golden_logits = tarn::load_npz(golden("lm/families.npz").string());
  ASSERT_EQ(golden_logits.size(), about().size());
  for (const auto& [name, model] : about().items()) {
    NamedArrays weights = small_weights(model);
    array want = golden_logits.at(name);
    float largest = tarn::max(tarn::abs(want)).item<float>();
    // The keys of older files, and those that transformers writes now.
    for (const char* keys : {"given", "written"}) {
      Model m = load(write(name, model[keys], weights)).model;
      array got = every_fourth(logits_of(m, small_prompts()));
      EXPECT_LT(worst_difference(got, want) / double{largest}, 1e-4) << name << ", keys " << keys;
    }
  }
}

// A prompt in one piece, then token by token: the same as all at once. (With dynamic scaling the
// two differ by definition: earlier keys keep the angles of the shorter text.)
TEST_F(Families, CachedDecodingIsTheWholeForward) {
  array ids = small_prompts();
  for (const auto& [name, model] : about().items()) {
    if (name == "dynamic") continue;
    Model m = load(write(name)).model;
    array whole = logits_of(m, tokens(ids, 0, 0, 40));
    tarn::PrecisionScope scope(tarn::Precision::exact);
    Pass pass = m.new_pass();
    pass.last_only = false;
    std::vector<array> parts{m(tokens(ids, 0, 0, 20), pass)};
    for (int64_t at : {20, 21, 22, 23}) parts.push_back(m(tokens(ids, 0, at, at + 1), pass));
    parts.push_back(m(tokens(ids, 0, 24, 33), pass));
    for (int64_t at = 33; at < 40; ++at) parts.push_back(m(tokens(ids, 0, at, at + 1), pass));
    EXPECT_EQ(pass.length(), 40);
    EXPECT_LT(worst_difference(tarn::concatenate(parts, 1), whole), 2e-5) << name;
  }
}

TEST_F(Families, RowsOfABatchAreSingleRuns) {
  array ids = small_prompts();
  for (const auto& [name, model] : about().items()) {
    Model m = load(write(name)).model;
    tarn::PrecisionScope scope(tarn::Precision::exact);
    const std::vector<int64_t> lengths{21, 30, 17};
    Pass together = m.new_pass({}, 3);
    together.counts = lengths;
    array first = m(
        tarn::concatenate({tokens(ids, 0, 0, 21), tokens(ids, 1, 0, 30), tokens(ids, 2, 0, 17)}, 1),
        together);
    together.counts.clear();
    array next = tarn::concatenate(
        {tokens(ids, 0, 21, 22), tokens(ids, 1, 30, 31), tokens(ids, 2, 17, 18)}, 0);
    array second = m(next, together);
    for (int64_t row = 0; row < 3; ++row) {
      int64_t n = lengths[static_cast<size_t>(row)];
      Pass alone = m.new_pass();
      EXPECT_LT(worst_difference(positions(first, row, 0, 1), m(tokens(ids, row, 0, n), alone)),
                1e-5)
          << name;
      array single = m(tokens(ids, row, n, n + 1), alone);
      EXPECT_LT(worst_difference(positions(second, row, 0, 1), single), 1e-5) << name;
    }
  }
}

// Where logits of the last position alone are wanted the last layer computes no other: the same
// logits, and caches that go on alike.
TEST_F(Families, TheLastPositionAloneHasTheSameLogits) {
  array ids = small_prompts();
  const tarn::lm::CacheOptions kinds[] = {{}, {.max_size = 16}, {.bits = 8, .group_size = 32}};
  const std::pair<int64_t, int64_t> parts[] = {{0, 20}, {20, 33}, {33, 34}};
  for (const auto& [name, model] : about().items()) {
    Model m = load(write(name)).model;
    tarn::PrecisionScope scope(tarn::Precision::exact);
    Pass without;
    EXPECT_LT(worst_difference(m(ids, without), tarn::slice(logits_of(m, ids), {0, 39, 0},
                                                            {3, 40, m.shape().vocabulary})),
              1e-5)
        << name;
    for (const auto& kind : kinds) {
      if (kind.bits > 0 && m.shape().cached[0].key_size % kind.group_size != 0) continue;
      Pass all = m.new_pass(kind, 2), last = all;
      all.last_only = false;
      for (auto [from, to] : parts) {
        array both = tarn::concatenate({tokens(ids, 0, from, to), tokens(ids, 1, from, to)}, 0);
        array want = m(both, all), got = m(both, last);
        for (int64_t row : {0, 1})
          EXPECT_LT(worst_difference(positions(got, row, 0, 1),
                                     positions(want, row, to - from - 1, to - from)),
                    1e-5)
              << name << ", from " << from << ", max_size " << kind.max_size << ", bits "
              << kind.bits;
      }
    }
  }
}

TEST_F(Families, CachesWithWindowsHoldTheWindowOnly) {
  Model m = load(write("gemma3")).model;
  Pass pass = m.new_pass();
  m(tokens(small_prompts(), 0, 0, 40), pass);
  // 7 layers, of which the sixth sees all: 8 positions of 2 heads of 32 numbers, or room for 256.
  size_t position = 2 * 2 * 32 * sizeof(float);
  EXPECT_EQ(pass.rows[0].nbytes(), position * (6 * 8 + 256));
  ModelShape shape = m.shape();
  ASSERT_EQ(shape.cached.size(), 7u);
  EXPECT_EQ(shape.cached[0].window, 8);
  EXPECT_EQ(shape.cached[5].window, 0);
}

// The text half of a model that sees: nested keys, other names, weights that are not needed.
TEST_F(Families, GemmaThatSeesGivesItsTextHalf) {
  const Json& model = about()["gemma3"];
  array want = logits_of(load(write("gemma3")).model, small_prompts());
  for (const char* prefix : {"language_model.model.", "model.language_model."}) {
    NamedArrays weights;
    for (auto& [name, a] : small_weights(model))
      weights.emplace(prefix + name.substr(std::string("model.").size()), a);
    weights.emplace("vision_tower.encoder.weight", tarn::zeros({3}));
    weights.emplace("multi_modal_projector.weight", tarn::zeros({3}));
    Json config{{"model_type", "gemma3"}, {"text_config", model["given"]}};
    Model m = load(write("sees", config, weights)).model;
    EXPECT_EQ(worst_difference(logits_of(m, small_prompts()), want), 0);
  }
}

}  // namespace
}  // namespace tarn_test
