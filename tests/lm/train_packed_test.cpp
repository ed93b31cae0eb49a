// What is trained as one array has the numbers that it has as many.
#include "lm/tiny_training.h"
#include "lm/train/step.h"

namespace tarn_test {
namespace {

using PackedTraining = TinyTraining;

double farthest(const NamedParameters& a, const NamedParameters& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (const auto& [path, x] : a)
    most = std::max(most, double{tarn::max(tarn::abs(x - b.at(path))).item<float>()});
  return most;
}

TEST_F(PackedTraining, StepsAreThoseOfEachParameterAlone) {
  LoRAContainer::from(lm_, LoRAConfiguration{}).load(lm_);
  NamedParameters begin = Trainer(lm_, data_, options(3)).parameters();
  Packed packed(begin);
  for (const char* name : {"adam", "adamw", "sgd", "lion"}) {
    SCOPED_TRACE(name);
    TrainOptions o = options(3);
    o.optimizer = name, o.clip = 0;
    TrainStep apart(lm_.model, o, 3), together(lm_.model, o, 3, packed);
    NamedParameters p = begin, all = packed.packed(begin);
    ASSERT_EQ(all.size(), 1u);
    tarn::optim::State s = apart.optimizer.init(p), of_all = together.optimizer.init(all);
    for (size_t step = 0; step < 3; ++step) {
      Batch batch = make_batch(data_.train, {step, step + 3});
      tarn::array key = tarn::random::key(step), tokens(7.0f);
      auto [loss, g] = apart.gradients(p, batch, key);
      auto [same_loss, g_of_all] = together.gradients(all, batch, key);
      EXPECT_EQ(loss.item<float>(), same_loss.item<float>());
      std::tie(p, s) = apart.update(p, s, apart.scaled(g, tokens).first);
      std::tie(all, of_all) = together.update(all, of_all, together.scaled(g_of_all, tokens).first);
    }
    EXPECT_GT(farthest(begin, p), 0);
    EXPECT_EQ(farthest(p, packed.named(all)), 0);
    tarn::optim::State named = packed.named_state(of_all);
    EXPECT_EQ(farthest(s, named), 0);
    EXPECT_EQ(farthest(packed.named_state(packed.packed_state(named)), named), 0);
  }
}

}  // namespace
}  // namespace tarn_test
