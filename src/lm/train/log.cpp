#include <unistd.h>

#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/require.h"
#include "io/atomic_write.h"
#include "lm/train/report.h"
#include "tarn/lm/train_log.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;
using Kind = TrainEvent::Kind;
constexpr uint64_t most_log_bytes = uint64_t{1} << 30;

std::string line_of(const TrainEvent& e) {
  OrderedJson json{{"event", e.kind == Kind::step ? "step" : "validation"},
                   {"step", e.step},
                   {"steps", e.steps},
                   {"loss", e.loss}};
  if (e.kind == Kind::step) {
    json["learning_rate"] = e.learning_rate;
    json["gradient_norm"] = e.gradient_norm;
    json["tokens"] = e.tokens;
    json["computed"] = e.computed;
  } else {
    json["best"] = e.is_best;
  }
  json["seconds"] = e.seconds;
  return json.dump() + "\n";
}

TrainEvent event_of(const Json& json) {
  TrainEvent e;
  e.kind = json.at("event") == "step" ? Kind::step : Kind::validation;
  json.at("step").get_to(e.step);
  json.at("steps").get_to(e.steps);
  json.at("loss").get_to(e.loss);
  json.at("seconds").get_to(e.seconds);
  e.learning_rate = json.value("learning_rate", 0.0);
  e.gradient_norm = json.value("gradient_norm", 0.0);
  e.tokens = json.value("tokens", int64_t{0});
  e.computed = json.value("computed", int64_t{0});
  e.is_best = json.value("best", false);
  return e;
}

// The lines up to the step; the last line may be cut off where the run was killed.
std::vector<TrainEvent> read_log(const fs::path& file, int64_t step) {
  std::vector<TrainEvent> events;
  std::string text = read_text(file.string(), most_log_bytes);
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    try {
      TrainEvent e = event_of(parse_json(std::string_view(text).substr(at, end - at), file));
      if (e.step <= step) events.push_back(e);
    } catch (const std::exception& error) {
      fail<FileError>("[train] {}: a line of the log cannot be read ({}). Move the file away.",
                      printable(file.string(), 4096), printable(error.what()));
    }
    at = end + 1;
  }
  return events;
}

}  // namespace

TrainLog::TrainLog(fs::path folder, int64_t step) : folder_(std::move(folder)) {
  make_folder(folder_.string(), "train");
  if (step >= 0 && fs::exists(log_file())) events_ = read_log(log_file(), step);
  io::AtomicFile out(log_file().string());
  for (const TrainEvent& e : events_) out.write(line_of(e));
  out.commit();
}

void TrainLog::add(const TrainEvent& event) {
  if (event.kind == Kind::saved) return;
  events_.push_back(event);
  std::ofstream out(log_file(), std::ios::app);
  out << line_of(event) << std::flush;
  require<FileError>(out.good(), "[train] {}: cannot write. Is the disk full?",
                     printable(log_file().string(), 4096));
}

void TrainLog::write_report(const std::string& title,
                            const std::vector<std::pair<std::string, std::string>>& facts) const {
  io::AtomicFile out(report_file().string());
  out.write(report_of(title, facts, events_));
  out.commit();
}

}  // namespace tarn::lm
