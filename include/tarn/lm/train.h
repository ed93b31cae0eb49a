// Training a language model on examples.
//
//   Trainer trainer(lm, load_train_data("my.jsonl", lm), {.steps = 100, .folder = "run"});
//   trainer.resume();  // where a run in the folder stopped, however it did
//   trainer.run([](const TrainEvent& e) { … return TrainNext::more; });
//
// A run is repeatable: on one instruction set the same model, data and options give the same
// numbers to the last bit at any number of threads, resumed or not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tarn/distributed.h"
#include "tarn/error.h"
#include "tarn/lm/evaluate.h"
#include "tarn/lm/train_data.h"
#include "tarn/nn/module.h"
#include "tarn/optim.h"

namespace tarn::lm {

// In what products with weights are computed; sums are float32 in either.
enum class ComputeIn : uint8_t { float32, bfloat16 };
// bfloat16 where the processor multiplies it at a higher rate than float32.
ComputeIn fastest_compute();

struct TrainOptions {
  std::string optimizer = "adamw";  // adam, adamw, sgd, muon, adafactor, lion
  double learning_rate = 2e-3;
  double weight_decay = 0.01;
  std::string schedule = "cosine";  // constant, cosine, linear, exponential
  double end_share = 0.1;           // of the learning rate, what a schedule ends with
  int64_t warmup = 0;               // steps in which the rate rises from 0
  double clip = 1;                  // the gradients' norm at most; 0: as they are
  int64_t steps = 0;                // 0: as many as `epochs` take
  double epochs = 1;
  int batch_size = 8;
  int accumulate = 1;  // batches whose gradients make one step
  // Tokens, with padding, that are computed together: a batch with more is computed in parts, whose
  // gradients add up. What a derivative keeps is some 20 kB a token and layer of 576 numbers.
  int64_t tokens_at_once = 1024;
  bool recompute = false;          // less memory: a layer's values again in its derivative
  int64_t steps_per_eval = 0;      // 0: ten times in the run; always at the end
  int validation_batches = 0;      // at most; 0: all
  int patience = 0;                // evaluations without a better loss that end the run; 0: none do
  int64_t steps_per_save = 0;      // 0: with each evaluation
  uint64_t seed = 0;               // of the order and of dropout
  std::filesystem::path folder{};  // of checkpoints; empty: none are written
  ComputeIn compute = fastest_compute();
  // What else decides the run's numbers, such as how its adapter was made: a checkpoint serves runs
  // with the same text only.
  std::string about{};
  std::stop_token stop{};  // ends the run after the step, with a checkpoint
  // Ranks that make each step together: every one has the whole data and options, computes the
  // gradients of its share of a batch's rows, and takes the step of their sum, so that all have the
  // same parameters. Rank 0 writes the checkpoints, which every rank resumes from. A run's numbers
  // are those of one process up to the order of sums; dropout draws others.
  std::optional<distributed::Group> group{};
};
// Throws ValueError for what is out of range or does not go together.
void check(const TrainOptions& options);

// The loss is the mean over the tokens that count, in nats.
struct TrainEvent {
  enum class Kind : uint8_t { step, validation, saved };
  Kind kind = Kind::step;
  int64_t step = 0, steps = 0;  // done and in all
  double loss = 0;              // step: of its batches; validation: of the validation set
  double learning_rate = 0, gradient_norm = 0;
  int64_t tokens = 0;            // step: that counted, in this step
  int64_t computed = 0;          // step: that the model went through, without padding
  double seconds = 0;            // that the step or the validation took
  bool is_best = false;          // validation
  std::filesystem::path file{};  // saved
};
enum class TrainNext : uint8_t { more, stop };
using TrainProgress = std::function<TrainNext(const TrainEvent&)>;

struct TrainResult {
  enum class End : uint8_t { finished, no_improvement, stopped };
  End end = End::finished;
  int64_t steps = 0;
  double loss = 0;                             // of the last step
  double valid_loss = 0, best_valid_loss = 0;  // the last and the best
  int64_t best_step = 0;
};

// A loss or a gradient of a run is not finite.
struct DivergedError : ValueError {
  using ValueError::ValueError;
};

using NamedParameters = std::map<std::string, array>;

// Whether a run left a checkpoint in the folder, from which Trainer::resume() would go on.
bool has_checkpoint(const std::filesystem::path& folder);

class Trainer {  // for one thread at a time; another one may request a stop
 public:
  // Trains the parameters for which `where(path, array)` holds; without it those that can be:
  // floating-point ones, and of a model with adapters only theirs. They become float32. Throws
  // ValueError when nothing is left to train, and for options and data that do not fit.
  Trainer(LanguageModel lm, TrainData data, TrainOptions options, const nn::Where& where = {});
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;
  ~Trainer();

  // Goes on from the newest whole checkpoint in the folder; false where there is none. Throws
  // FileError for one of another run: other data, another model, or options that change the course.
  bool resume();
  // To the end, or until a stop. Throws DivergedError when a loss or gradient is not finite: it
  // names the example. Found in a step, the model keeps what the step before gave; found by a
  // validation, nothing of it is saved.
  TrainResult run(const TrainProgress& progress = {});

  int64_t step() const;   // done so far
  int64_t steps() const;  // in all
  // The parameters as they are now, and where the validation loss was least.
  NamedParameters parameters() const;
  NamedParameters best_parameters() const;
  // The model with these parameters.
  LanguageModel model_with(const NamedParameters& parameters) const;
  const TrainData& data() const;
  const TrainOptions& options() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// MLX Swift's name, for those who look for it; a Trainer trains whole parameters as well.
using LoRATrain = Trainer;

}  // namespace tarn::lm
