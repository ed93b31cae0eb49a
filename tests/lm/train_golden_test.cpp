// Training against torch and PEFT (tests/golden/make_train.py): gradients of each kind of adapter,
// and the losses of 50 steps.
#include <algorithm>
#include <cmath>

#include "lm/small_models.h"
#include "lm/train/step.h"
#include "tarn/lm/adapters.h"
#include "tarn/random.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
using tarn::array;

constexpr int rank = 4;

// samples() of make_train.py.
TrainData sequences() {
  TrainData data;
  data.train.file = "sequences";
  for (int64_t i = 0; i < 8; ++i) {
    TrainSample s;
    for (int64_t j = 0; j < 10 + 4 * i; ++j) {
      s.ids.push_back(static_cast<int32_t>(hashed(static_cast<uint32_t>(40 * i + j)) % 92 + 4));
      s.counts.push_back(j > 0 ? 1 : 0);
    }
    data.train.samples.push_back(std::move(s));
  }
  return data;
}

class TrainGolden : public SmallModels, public testing::WithParamInterface<const char*> {
 protected:
  // The model with an adapter on all layers, its numbers drawn by their names.
  LanguageModel adapted() {
    LanguageModel lm = load(write("smollm2"));
    LoRAConfiguration configuration{.fine_tune_type = kind() == "dora" ? "dora" : "lora",
                                    .num_layers = -1};
    configuration.lora_parameters.rank = rank;
    // alpha by the rank, and with use_rslora by its root.
    configuration.lora_parameters.scale =
        kind() == "rslora" ? 3 / std::sqrt(float{rank}) : 8 / float{rank};
    LoRAContainer::from(lm, configuration).load(lm);
    lm.model.parameters([](const std::string& path, array& a) {
      if (path.ends_with("lora_a") || path.ends_with("lora_b")) a = drawn(path, a.shape(), false);
    });
    return lm;
  }
  static const NamedArrays& golden_arrays() {
    static const NamedArrays arrays = tarn::load_npz(golden("lm/train.npz").string());
    return arrays;
  }
  std::string kind() const { return GetParam(); }
  static TrainOptions options() {
    return {.learning_rate = 5e-3,
            .schedule = "constant",
            .clip = 0,
            .steps = 50,
            .batch_size = 8,
            .compute = ComputeIn::float32};
  }
};

TEST_P(TrainGolden, GradientsArePefts) {
  LanguageModel lm = adapted();
  Trainer trainer(lm, sequences(), options());
  NamedParameters parameters = trainer.parameters();
  TrainStep step(lm.model, options(), 50);
  TrainSet set = sequences().train;
  auto [loss, gradients] =
      step.gradients(parameters, make_batch(set, {0, 1, 2, 3, 4, 5, 6, 7}), tarn::random::key(0));
  array tokens(static_cast<float>(set.counted()));
  size_t compared = 0;
  for (const auto& [name, expected] : golden_arrays()) {
    std::string head = kind() + ".gradient.";
    if (!name.starts_with(head)) continue;
    auto it = gradients.find(name.substr(head.size()));
    ASSERT_NE(it, gradients.end()) << name;
    double largest = double{tarn::max(tarn::abs(expected)).item<float>()};
    EXPECT_LT(worst_difference(it->second / tokens, expected), 1e-5 * std::max(1.0, largest))
        << name;
    ++compared;
  }
  EXPECT_EQ(compared, gradients.size());
  EXPECT_EQ(compared, kind() == "dora" ? 84u : 56u);
}

TEST_P(TrainGolden, FiftyStepsHavePeftsLosses) {
  const array& expected = golden_arrays().at(kind() + ".losses");
  std::vector<double> losses;
  Trainer(adapted(), sequences(), options()).run([&](const TrainEvent& e) {
    if (e.kind == TrainEvent::Kind::step) losses.push_back(e.loss);
    return TrainNext::more;
  });
  ASSERT_EQ(losses.size(), 50u);
  for (size_t i = 0; i < 50; ++i) {
    double peft = double{expected.data<float>()[i]};
    EXPECT_NEAR(losses[i], peft, 0.01 * peft) << "step " << i + 1;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TrainGolden, testing::Values("lora", "rslora", "dora"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace tarn_test
