// A training run as a person watches it: a row for each validation, and a line below that lives.
#pragma once

#include <string>
#include <vector>

#include "progress.h"
#include "tarn/lm/train.h"
#include "terminal.h"

namespace tarn::cli {

// The numbers as bars of eight heights, the newest on the right, in at most `width` columns.
std::string sparkline(const std::vector<double>& values, int width);

class TrainView {
 public:
  explicit TrainView(int fd);
  ~TrainView();
  TrainView(const TrainView&) = delete;
  TrainView& operator=(const TrainView&) = delete;

  void show(const lm::TrainEvent& event);
  // Wipes the living line.
  void wipe();
  // Tokens that the model went through, a second of steps.
  double tokens_per_second() const { return seconds_ > 0 ? computed_ / seconds_ : 0; }

 private:
  std::string row() const;
  std::string living_line() const;

  Terminal terminal_;
  lm::TrainEvent last_{};
  std::vector<double> losses_{};
  double valid_loss_ = -1, recent_loss_ = 0;  // the latter since the last row
  int recent_steps_ = 0;
  double computed_ = 0, seconds_ = 0, validation_seconds_ = 0;
  int64_t first_step_ = -1;
  bool has_head_ = false, is_drawn_ = false;
};

}  // namespace tarn::cli
