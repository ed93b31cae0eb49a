// What a run leaves to read: log.jsonl, a line an event, and report.html, its curves in one file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/train.h"

namespace tarn::lm {

class TrainLog {
 public:
  // Logs into the folder, which is made. Of a log that is there already, what came after `step` is
  // dropped, so that a resumed run has one curve; for a new run step is -1.
  TrainLog(std::filesystem::path folder, int64_t step);

  void add(const TrainEvent& event);
  // Writes report.html, whole or not at all. `facts` stand in a table below the curves.
  void write_report(const std::string& title,
                    const std::vector<std::pair<std::string, std::string>>& facts) const;

  std::filesystem::path log_file() const { return folder_ / "log.jsonl"; }
  std::filesystem::path report_file() const { return folder_ / "report.html"; }
  // Steps and validations, in order.
  const std::vector<TrainEvent>& events() const { return events_; }

 private:
  std::filesystem::path folder_;
  std::vector<TrainEvent> events_{};
};

}  // namespace tarn::lm
