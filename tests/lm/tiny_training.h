// The tiny model and 40 examples for it: "A and B" is completed by their sum.
#pragma once

#include "lm/tiny_model.h"

namespace tarn_test {

class TinyTraining : public TinyModel {
 protected:
  void SetUp() override {
    TinyModel::SetUp();
    lm_ = tiny();
    std::ofstream out(folder_ / "a.jsonl");
    for (int i = 0; i < 40; ++i)
      out << fmt::format("{{\"prompt\": \"{} and {}\", \"completion\": \"{}\"}}\n", i % 7, i / 7,
                         i % 7 + i / 7);
    out.close();
    data_ = load_train_data(folder_ / "a.jsonl", lm_, {.mask_prompt = true});
  }
  static TrainOptions options(int64_t steps) {
    return {.steps = steps, .batch_size = 4, .steps_per_eval = 4, .compute = ComputeIn::float32};
  }

  LanguageModel lm_{};
  TrainData data_{};
};

}  // namespace tarn_test
