// Language models that ranks divide or train together, beside one process.
#include <gtest/gtest.h>

#include <cmath>

#include "distributed/ranks.h"
#include "error_of.h"
#include "lm/small_models.h"
#include "lm/tiny_training.h"
#include "tarn/lm.h"

namespace tarn_test {
namespace {

array logits_of(const Model& m, const array& ids) {
  tarn::PrecisionScope scope(tarn::Precision::exact);
  Pass pass;
  pass.last_only = false;
  return m(ids, pass);
}

class DividedModels : public SmallModels {};

// They have 4 heads, 2 key heads and 96 inner values.
TEST_F(DividedModels, HaveTheLogitsOfWholeOnes) {
  array ids = small_prompts();
  for (const auto& [name, model] : about().items()) {
    fs::path file = write(name);
    if (ranks() > 2) {
      EXPECT_EQ(error_in(folder_, [&] { load_divided(file, everyone()); }),
                fmt::format("[load_divided] FOLDER/{}/config.json: the model has {}, which cannot "
                            "be divided over {} ranks.",
                            name, ranks() == 3 ? "4 heads" : "2 key heads", ranks()));
      continue;
    }
    Model whole = load(file).model, part = load_divided(file, everyone()).model;
    array want = logits_of(whole, ids), got = logits_of(part, ids);
    EXPECT_LT(tarn::max(tarn::abs(got - want)).item<float>(),
              2e-5f * tarn::max(tarn::abs(want)).item<float>())
        << name;
    EXPECT_EQ(part.shape().cached[0].kv_heads * ranks(), whole.shape().cached[0].kv_heads);
  }
}

TEST_F(DividedModels, AnswerWithTheTokensOfWholeOnes) {
  if (ranks() > 2) GTEST_SKIP() << "for two ranks";
  for (const char* name : {"llama", "qwen3", "phi3", "gemma3"}) {
    fs::path file = write(name);
    auto tokens_of = [&](const LanguageModel& lm, float temperature) {
      GenerateParameters p{.max_tokens = 24, .temperature = temperature, .seed = 7};
      p.precision = tarn::Precision::exact;
      std::vector<int32_t> ids;
      for (const Event& e : generate(lm, {5, 9, 23, 40, 61}, p))
        ids.insert(ids.end(), e.ids.begin(), e.ids.end());
      return ids;
    };
    LanguageModel whole = load(file), part = load_divided(file, everyone());
    for (float temperature : {0.0f, 0.8f})
      EXPECT_EQ(tokens_of(part, temperature), tokens_of(whole, temperature)) << name;
  }
}

TEST_F(DividedModels, SayWhatCannotBeDivided) {
  if (ranks() != 2) GTEST_SKIP() << "for two ranks";
  Json model = about()["llama"];
  NamedArrays weights = small_weights(model);
  weights.emplace("model.layers.0.extra.weight", tarn::ones({2, 2}));
  fs::path file = write("extra", model["given"], weights);
  EXPECT_EQ(error_in(folder_, [&] { load_divided(file, everyone()); }),
            "[load_divided] FOLDER/extra: how model.layers.0.extra.weight is to be divided is not "
            "known.");
}

struct OwnModel {
  TARN_FIELDS()
  array operator()(const array& ids, Pass&) const { return ids; }
  ModelShape shape() const { return {1, 1, 1, 1, {}}; }
};

TEST_F(DividedModels, OfFamiliesThatDoNotSumAreRefused) {
  if (ranks() != 2) GTEST_SKIP() << "for two ranks";
  auto make = [](const Config&) { return Model(std::make_unique<Held<OwnModel>>(OwnModel{})); };
  register_architecture({.model_type = "own", .make = make});
  Json config = about()["llama"]["given"];
  config["model_type"] = "own", config["tie_word_embeddings"] = true;
  fs::path file = write("own", config, {});
  EXPECT_EQ(error_in(folder_, [&] { load_divided(file, everyone()); }),
            "[load_divided] FOLDER/own: models of this family cannot be divided.");
}

class TeamTraining : public TinyTraining {
 protected:
  static TrainOptions options() { return TinyTraining::options(8); }
  static void expect_close(const NamedParameters& got, const NamedParameters& wanted,
                           double tolerance) {
    ASSERT_EQ(got.size(), wanted.size());
    for (const auto& [path, x] : wanted) {
      double most = tarn::max(tarn::abs(x)).item<float>();
      EXPECT_LE(tarn::max(tarn::abs(got.at(path) - x)).item<float>(), tolerance * most) << path;
    }
  }
};

TEST_F(TeamTraining, TakesTheStepsOfOneProcess) {
  // 3 rows for 4 ranks leave one with nothing.
  for (int batch_size : {4, 3})
    for (bool adapters : {false, true}) {
      // Adam makes steps of equal size of gradients that are nothing but rounding.
      std::string optimizer = batch_size == 4 ? "sgd" : "adamw";
      LanguageModel lm = lm_;
      if (adapters) LoRAContainer::from(lm, LoRAConfiguration{}).load(lm);
      TrainOptions o = options();
      o.batch_size = batch_size;
      o.optimizer = optimizer;
      if (optimizer == "sgd") o.learning_rate = 0.05;
      Trainer alone(lm, data_, o);
      TrainResult want = alone.run();
      o.group = everyone();
      Trainer team(lm, data_, o);
      int64_t tokens = 0;
      TrainResult got = team.run([&](const TrainEvent& e) {
        if (e.kind == TrainEvent::Kind::step) tokens += e.tokens;
        return TrainNext::more;
      });
      expect_close(team.parameters(), alone.parameters(), optimizer == "sgd" ? 1e-4 : 1e-2);
      EXPECT_NEAR(got.loss, want.loss, 1e-4);
      EXPECT_NEAR(got.valid_loss, want.valid_loss, 1e-4);
      EXPECT_GT(tokens, 0);
      // Every rank has the same, to the bit.
      for (const auto& [path, x] : team.parameters())
        EXPECT_TRUE(array_equal(tarn::distributed::all_max(x), x).item<bool>()) << path;
    }
}

TEST_F(TeamTraining, GoesOnFromTheCheckpointOfTheFirst) {
  // Ranks have one parent.
  fs::path common = fs::temp_directory_path() / fmt::format("tarn-team-{}", getppid());
  TrainOptions o = options();
  o.group = everyone();
  Trainer whole(lm_, data_, o);
  whole.run();
  o.folder = common;
  Trainer first(lm_, data_, o);
  // One rank wants to stop: all do.
  TrainResult result = first.run([](const TrainEvent& e) {
    bool asks = me() == ranks() - 1 && e.kind == TrainEvent::Kind::step && e.step == 3;
    return asks ? TrainNext::stop : TrainNext::more;
  });
  EXPECT_EQ(result.end, TrainResult::End::stopped);
  EXPECT_EQ(first.step(), 3);
  tarn::distributed::all_sum(array(1.0f)).item<float>();  // the checkpoint is there
  Trainer second(lm_, data_, o);
  ASSERT_TRUE(second.resume());
  EXPECT_EQ(second.step(), 3);
  second.run();
  for (const auto& [path, x] : whole.parameters())
    EXPECT_TRUE(array_equal(second.parameters().at(path), x).item<bool>()) << path;
  tarn::distributed::all_sum(array(1.0f)).item<float>();
  if (me() == 0) fs::remove_all(common);
}

}  // namespace
}  // namespace tarn_test
