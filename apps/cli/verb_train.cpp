#include <unistd.h>

#include <filesystem>

#include "base/text.h"
#include "run_folder.h"
#include "tarn/lm/train_log.h"
#include "tarn/memory.h"
#include "terminal.h"
#include "train_arguments.h"
#include "train_view.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

namespace fs = std::filesystem;

// Where there is no checkpoint the run begins anew, which must not cost an adapter.
void check_resumed(const std::string& folder) {
  if (lm::has_checkpoint(folder)) return;
  std::error_code error;
  for (const char* name :
       {"adapters.safetensors", "adapter_model.safetensors", "adapter_config.json"})
    if (fs::path file = fs::path(folder) / name; fs::exists(file, error))
      throw UsageError(
          file.string() +
          " belongs to an adapter, and no checkpoint to go on from is beside it: a run from step 0 "
          "would replace it. --out takes another folder.");
  say_line(fmt::format("There is no checkpoint in {}: the run begins at step 0.", folder));
}

// A new run must not mix its files with those of another.
void check_folder(const TrainArguments& given, const RunFolder& folder) {
  if (given.resume) return check_resumed(given.folder);
  if (folder.is_empty()) return;
  throw UsageError(given.folder +
                   " holds files already: --resume goes on with the run there, "
                   "--out takes another folder.");
}

// What `tarn eval` takes: a folder where that has what it needs.
std::string data_to_judge_by(const std::string& data) {
  std::error_code error;
  if (!fs::is_directory(data, error) || file_to_judge_by(data)) return data;
  return (fs::path(data) / "train.jsonl").string();
}

int64_t count_of(const lm::NamedParameters& parameters) {
  int64_t count = 0;
  for (const auto& [path, a] : parameters) count += static_cast<int64_t>(a.size());
  return count;
}

// One run, from the model with a fresh adapter to the adapter's files.
class TrainRun {
 public:
  TrainRun(const TrainArguments& given, const lm::LanguageModel& base, lm::TrainData data,
           const distributed::Group& group)
      : given_(given),
        group_(group),
        name_(base.name),
        layers_(base.model.shape().layers),
        prepared_(prepared(given, base)) {
    lm::TrainOptions options = given.options();
    options.group = group;
    options.stop = interrupt_.token();
    trainer_.emplace(prepared_.lm, std::move(data), options, prepared_.where);
  }

  int run() {
    bool resumed = given_.resume && trainer_->resume();
    if (group_.rank() != 0) return status_of(trainer_->run());
    describe(resumed);
    log_.emplace(given_.folder, resumed ? trainer_->step() : -1);
    double start = now_seconds();
    TrainView view(STDERR_FILENO);
    lm::TrainResult result = trainer_->run([&](const lm::TrainEvent& event) {
      log_->add(event);
      view.show(event);
      if (event.kind == lm::TrainEvent::Kind::saved) save();
      return lm::TrainNext::more;
    });
    view.wipe();
    save();
    finish(result, now_seconds() - start, view.tokens_per_second());
    return status_of(result);
  }

 private:
  static int status_of(const lm::TrainResult& result) {
    return result.end == lm::TrainResult::End::stopped ? 130 : 0;
  }
  void describe(bool resumed) {
    const lm::TrainData& data = trainer_->data();
    for (const std::string& note : data.notes) say_line(note);
    if (given_.layers > layers_)
      say_line(fmt::format("--num-layers: {} has {} layers, and {} are asked for: all are trained.",
                           name_, layers_, given_.layers));
    say_line(fmt::format("{}: {} trains {} numbers on {} examples, {} tokens of which {} count.",
                         name_, given_.mode, count_of(trainer_->parameters()),
                         data.train.samples.size(), data.train.tokens(), data.train.counted()));
    if (group_.size() > 1) say_line(fmt::format("{} processes share each batch.", group_.size()));
    say_line(
        fmt::format("{} steps of {} examples; Ctrl-C ends with a checkpoint, --resume goes on.{}",
                    trainer_->steps(), given_.batch_size * given_.accumulate,
                    resumed ? fmt::format(" Goes on after step {}.", trainer_->step()) : ""));
  }
  // The best so far: what the folder is for.
  void save() {
    auto best = trainer_->model_with(trainer_->best_parameters());
    prepared_.adapter.updated_from(best).save(given_.folder);
    log_->write_report("tarn train: " + name_, facts());
  }
  std::vector<std::pair<std::string, std::string>> facts() const {
    const lm::TrainOptions& o = trainer_->options();
    return {{"model", name_},
            {"data", given_.data},
            {"mode", given_.mode},
            {"numbers that train", fmt::format("{}", count_of(trainer_->parameters()))},
            {"optimizer", o.optimizer},
            {"learning rate", fmt::format("{} ({})", o.learning_rate, o.schedule)},
            {"batch", fmt::format("{} x {}", o.batch_size, o.accumulate)},
            {"seed", fmt::format("{}", o.seed)},
            {"arrays at most", bytes_text(static_cast<double>(get_peak_memory()))}};
  }
  void finish(const lm::TrainResult& result, double seconds, double rate) {
    using End = lm::TrainResult::End;
    const char* how = result.end == End::finished  ? "Run finished"
                      : result.end == End::stopped ? "Stopped"
                                                   : "Run ended, for nothing got better,";
    say_line(fmt::format("{} after {} steps and {}: {:.0f} tokens/s, arrays of at most {}.", how,
                         result.steps, clock_text(seconds), rate,
                         bytes_text(static_cast<double>(get_peak_memory()))));
    if (result.best_step >= 0)
      say_line(fmt::format("Validation loss {:.4f}, best of step {}; that one is in {}.",
                           result.best_valid_loss, result.best_step, given_.folder));
    say_line(fmt::format("Curves: {}", log_->report_file().string()));
    std::string model =
        given_.model.path.empty() ? "" : " --model " + shell_word(given_.model.path);
    say_line(fmt::format(
        "Try it:\n  tarn chat{0} --adapter {2}\n  tarn eval{0} --data {1} --adapter {2}", model,
        shell_word(data_to_judge_by(given_.data)), shell_word(given_.folder)));
  }

  const TrainArguments& given_;
  distributed::Group group_;
  InterruptScope interrupt_{};
  std::string name_;
  int64_t layers_;
  Prepared prepared_;
  std::optional<lm::Trainer> trainer_{};
  std::optional<lm::TrainLog> log_{};
};

}  // namespace

int train(const Words& words) {
  TrainArguments given;
  Arguments arguments("tarn train", "Teaches a model your examples.");
  given.add_to(arguments);
  if (!parse_or_help(arguments, words)) return 0;
  if (given.data.empty())
    throw UsageError("tarn train needs --data FILE.jsonl, or a folder with train.jsonl.");
  given.check();
  distributed::Group group = distributed::init();
  std::optional<RunFolder> folder;
  if (group.rank() == 0) check_folder(given, folder.emplace(given.folder, "train"));
  lm::LanguageModel base = load_model(given.model);
  lm::TrainData data = lm::load_train_data(given.data, base, given.data_options());
  return TrainRun(given, base, std::move(data), group).run();
}

}  // namespace tarn::cli
