// Progress of long work: a bar on a terminal, now and then a line elsewhere, nothing for short
// work.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "terminal.h"

namespace tarn::cli {

// What a line of progress says. Rates are per second; a negative rate is not known yet.
struct ProgressState {
  std::string label{};
  uint64_t done = 0;
  uint64_t total = 0;  // 0: not known, so no share, bar or time left
  double rate = -1;
  bool in_bytes = true;  // otherwise plain counts
};

// "4:10", "1:02:03".
std::string clock_text(double seconds);

// One line of at most `columns` columns. Parts are left out from the right where they do not fit;
// with `bar`, what remains of the width is the bar.
std::string progress_line(const ProgressState& state, int columns, bool bar);

struct ProgressOptions {
  std::string label{};
  uint64_t total = 0;
  uint64_t done = 0;  // what was done before, which counts for the share and not for the rate
  bool in_bytes = true;
  int fd = 2;
  // For tests: seconds since some moment, and whether to draw as on a terminal.
  std::function<double()> clock{};
  std::optional<bool> on_terminal{};
};

// On a terminal a bar appears after one second of work and is wiped at the end; elsewhere a line is
// written every ten seconds. update() may be called from any thread and as often as one likes.
class Progress {
 public:
  explicit Progress(ProgressOptions options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(uint64_t done);
  // Wipes the bar. Nothing is drawn afterwards.
  void finish();

 private:
  void draw(uint64_t done, double now);
  void learn_rate(uint64_t done, double now);

  ProgressOptions options_;
  Terminal terminal_;
  bool on_terminal_;
  double start_;
  std::atomic<double> next_draw_;
  std::mutex mutex_{};
  ProgressState state_{};
  double rate_time_;
  bool is_drawn_ = false;
  bool is_finished_ = false;
};

}  // namespace tarn::cli
