// The steps of bench/train_step.py in this library's words: adapters of rank 8 on all matrices of
// the layers, AdamW, one batch over and over.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "compare_work.h"
#include "tarn/lm.h"
#include "tarn/memory.h"

namespace tarn::bench {

class TrainWork {
 public:
  // Of the command: rows of ids (one more than is computed), how many of each row count (its
  // last), "compute", and how many tokens are computed at once.
  void prepare(lm::LanguageModel model, const Json& command) {
    lm::LoRAContainer::from(model, {.num_layers = -1, .lora_parameters = {.rank = 8, .scale = 2}})
        .load(model);
    lm::TrainOptions options{.schedule = "constant", .steps = int64_t{1} << 30};
    options.batch_size = static_cast<int>(command["rows"].size());
    options.tokens_at_once = command.value("tokens_at_once", options.tokens_at_once);
    if (command.contains("compute"))
      options.compute =
          command["compute"] == "float32" ? lm::ComputeIn::float32 : lm::ComputeIn::bfloat16;
    trainer_.emplace(std::move(model), data_of(command), options);
  }

  // Tokens a second over at least `seconds`, and the loss of the first step of all.
  Json rate(const Json& command) {
    Watch watch(command.value("processor_time", false));
    double done = 0, loss = 0;
    trainer_->run([&](const lm::TrainEvent& e) {
      done += static_cast<double>(e.computed);
      loss = e.loss;
      return watch.seconds() < command["seconds"].get<double>() ? lm::TrainNext::more
                                                                : lm::TrainNext::stop;
    });
    return {{"rate", done / watch.seconds()}, {"loss", loss}};
  }

 private:
  static lm::TrainData data_of(const Json& command) {
    lm::TrainData data;
    for (const Json& row : command["rows"]) {
      lm::TrainSample sample{.ids = row.get<std::vector<int32_t>>()};
      const auto counted = command["counted"].get<size_t>();
      for (size_t i = 0; i < sample.ids.size(); ++i)
        sample.counts.push_back(i + counted >= sample.ids.size());
      data.train.samples.push_back(std::move(sample));
    }
    return data;
  }
  std::optional<lm::Trainer> trainer_{};
  WorkspaceScope workspace_{};  // samples are short runs; a run of hours begins once
};

}  // namespace tarn::bench
