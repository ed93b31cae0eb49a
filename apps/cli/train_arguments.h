// What `tarn train` is given; `tarn research` tries other values of the same options.
#pragma once

#include <optional>
#include <string>

#include "model_options.h"
#include "tarn/lm/adapters.h"
#include "tarn/lm/train.h"

namespace tarn::cli {

struct TrainArguments {
  ModelOptions model{};
  std::string data{}, folder = "adapters", mode = "lora", compute = "auto", keys{};
  std::string optimizer = "adamw", schedule = "cosine";
  int max_tokens = 512, rank = 8, layers = -1, steps = 0, batch_size = 8, accumulate = 1;
  int tokens_at_once = 512;
  int warmup = 5, steps_per_eval = 0, steps_per_save = 0, validation_batches = 0, patience = 0;
  float scale = 2, dropout = 0, learning_rate = 2e-3f, weight_decay = 0.01f, clip = 1, epochs = 1;
  std::optional<uint64_t> seed{};
  bool mask_prompt = false, pack = false, recompute = false, resume = false;

  void add_to(Arguments& a);
  lm::TrainDataOptions data_options() const;
  lm::TrainOptions options() const;
  // Throws UsageError or ValueError for what no model could be trained by.
  void check() const;
  lm::LoRAConfiguration configuration() const;
};

// What a folder of data has to judge a model by: its test.jsonl, else its valid.jsonl, else
// nothing.
std::optional<std::string> file_to_judge_by(const std::string& folder);

// The model with a fresh adapter as the mode wants it, and what of it trains. Throws UsageError
// where the mode does not fit the model.
struct Prepared {
  lm::LanguageModel lm{};
  lm::LoRAContainer adapter;
  nn::Where where{};
};
Prepared prepared(const TrainArguments& given, const lm::LanguageModel& base);

}  // namespace tarn::cli
