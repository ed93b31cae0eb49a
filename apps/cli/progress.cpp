#include "progress.h"
#include "base/text.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

namespace tarn::cli {
namespace {

constexpr double bar_after_s = 1.0, bar_every_s = 0.1;
constexpr double line_every_s = 10.0;
constexpr double rate_memory_s = 3.0;  // an older sample counts e times less
constexpr int widest_bar = 40, narrowest_bar = 6;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Decimal units, as disks and networks are sold: 41.3 MB.
std::string amount(double value, bool in_bytes) {
  if (!in_bytes)
    return fmt::format("{:.{}f}", value, value < 10 && value != std::floor(value) ? 1 : 0);
  constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit > 0 && value < 99.95 ? 1 : 0, units[unit]);
}

std::string time_left(double seconds) {
  if (seconds >= 100 * 3600.0) return "";
  return clock_text(seconds) + " left";
}

std::string bar_of(double share, int width) {
  auto full = static_cast<size_t>(std::lround(share * width));
  return "[" + std::string(full, '#') + std::string(static_cast<size_t>(width) - full, '.') + "]";
}

// Label first, then by falling importance: share, amounts, rate, time left.
std::vector<std::string> parts_of(const ProgressState& s) {
  std::vector<std::string> parts{s.label};
  auto done = static_cast<double>(s.done), total = static_cast<double>(s.total);
  if (s.total > 0) {
    parts.push_back(fmt::format("{:3.0f}%", std::floor(100 * std::min(1.0, done / total))));
    parts.push_back(amount(done, s.in_bytes) + " / " + amount(total, s.in_bytes));
  } else {
    parts.push_back(amount(done, s.in_bytes));
  }
  if (s.rate >= 0) parts.push_back(amount(s.rate, s.in_bytes) + "/s");
  if (s.total > s.done && s.rate > 0) {
    std::string left = time_left((total - done) / s.rate);
    if (!left.empty()) parts.push_back(left);
  }
  return parts;
}

}  // namespace

std::string clock_text(double seconds) {
  auto whole = static_cast<int64_t>(std::ceil(std::max(seconds, 0.0)));
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string progress_line(const ProgressState& state, int columns, bool bar) {
  std::vector<std::string> parts = parts_of(state);
  std::string line = cut_to_width(parts[0], columns);
  int used = display_width(line);
  std::string tail;
  int tail_width = 0;
  for (size_t i = 1; i < parts.size(); ++i) {
    int width = 2 + display_width(parts[i]);
    if (used + tail_width + width > columns) break;
    tail += "  " + parts[i];
    tail_width += width;
  }
  int room = columns - used - tail_width - 4;
  if (bar && state.total > 0 && room >= narrowest_bar) {
    double share = static_cast<double>(state.done) / static_cast<double>(state.total);
    line += "  " + bar_of(std::min(1.0, share), std::min(room, widest_bar));
  }
  return line + tail;
}

Progress::Progress(ProgressOptions options) : options_(std::move(options)), terminal_(options_.fd) {
  if (!options_.clock) options_.clock = steady_seconds;
  on_terminal_ = options_.on_terminal.value_or(terminal_.has_controls());
  start_ = options_.clock();
  rate_time_ = start_;
  next_draw_ = start_ + (on_terminal_ ? bar_after_s : line_every_s);
  state_.label = safe_text(options_.label);
  state_.total = options_.total;
  state_.done = options_.done;
  state_.in_bytes = options_.in_bytes;
}

Progress::~Progress() {
  try {
    finish();
  } catch (...) {
    // A closed standard error: there is nobody left to tell.
  }
}

void Progress::update(uint64_t done) {
  double now = options_.clock();
  if (now < next_draw_.load(std::memory_order_relaxed)) return;
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock.owns_lock() && !is_finished_) draw(done, now);
}

void Progress::draw(uint64_t done, double now) {
  if (now < next_draw_.load(std::memory_order_relaxed)) return;
  learn_rate(done, now);
  next_draw_ = now + (on_terminal_ ? bar_every_s : line_every_s);
  if (on_terminal_) {
    // The last column stays free: some terminals wrap as soon as it is written.
    std::string line = progress_line(state_, terminal_.columns() - 1, true);
    write_all(options_.fd, "\r" + line + "\x1b[K", "standard error");
    is_drawn_ = true;
  } else {
    write_all(options_.fd, progress_line(state_, std::numeric_limits<int>::max(), false) + "\n",
              "standard error");
  }
}

void Progress::learn_rate(uint64_t done, double now) {
  double seconds = now - rate_time_;
  if (done < state_.done || seconds <= 0) return;
  double sample = static_cast<double>(done - state_.done) / seconds;
  double weight = state_.rate < 0 ? 1.0 : 1.0 - std::exp(-seconds / rate_memory_s);
  state_.rate = std::max(state_.rate, 0.0) * (1.0 - weight) + sample * weight;
  state_.done = done;
  rate_time_ = now;
}

void Progress::finish() {
  std::lock_guard lock(mutex_);
  bool wipe = is_drawn_ && !is_finished_;
  is_finished_ = true;
  if (wipe) write_all(options_.fd, "\r\x1b[K", "standard error");
}

}  // namespace tarn::cli
