#include "train_view.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "model_options.h"
#include "tarn/memory.h"

namespace tarn::cli {
namespace {
using Kind = lm::TrainEvent::Kind;
}

std::string sparkline(const std::vector<double>& values, int width) {
  constexpr const char* bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (values.empty() || width < 1) return "";
  size_t n = std::min(values.size(), static_cast<size_t>(width));
  std::vector<double> shown;
  for (size_t i = 0; i < n; ++i) {
    size_t from = i * values.size() / n, to = (i + 1) * values.size() / n;
    double sum = 0;
    for (size_t j = from; j < to; ++j) sum += values[j];
    shown.push_back(sum / static_cast<double>(to - from));
  }
  auto [low, high] = std::minmax_element(shown.begin(), shown.end());
  double range = *high - *low;
  std::string line;
  for (double v : shown)
    line += bars[range > 0 ? static_cast<size_t>(std::lround((v - *low) / range * 7)) : 0];
  return line;
}

TrainView::TrainView(int fd) : terminal_(fd) {}
TrainView::~TrainView() {
  try {
    wipe();
  } catch (...) {  // the terminal is gone
  }
}

void TrainView::wipe() {
  if (is_drawn_) write_all(terminal_.fd(), "\r\x1b[K", "standard error");
  is_drawn_ = false;
}

std::string TrainView::row() const {
  std::string loss = recent_steps_ > 0 ? fmt::format("{:.4f}", recent_loss_ / recent_steps_) : "";
  std::string valid = valid_loss_ >= 0 ? fmt::format("{:.4f}", valid_loss_) : "";
  return fmt::format("{:>7}  {:>8}  {:>8}  {:>8.1e}  {:>7.3f}  {:>8.0f}  {:>8}{}", last_.step, loss,
                     valid, last_.learning_rate, last_.gradient_norm, tokens_per_second(),
                     bytes_text(static_cast<double>(anonymous_memory())),
                     last_.kind == Kind::validation && last_.is_best ? "  best" : "");
}

std::string TrainView::living_line() const {
  double done = static_cast<double>(last_.step - first_step_ + 1);
  double left = static_cast<double>(last_.steps - last_.step) * (seconds_ + validation_seconds_) /
                std::max(done, 1.0);
  std::string text =
      fmt::format("step {} of {}  loss {:.4f}  {:.0f} tokens/s  {} left  ", last_.step, last_.steps,
                  losses_.back(), tokens_per_second(), clock_text(left));
  int room = terminal_.columns() - 1 - display_width(text);
  return cut_to_width(text + sparkline(losses_, std::min(room, 40)), terminal_.columns() - 1);
}

void TrainView::show(const lm::TrainEvent& event) {
  if (event.kind == Kind::saved) return;
  double rate = last_.learning_rate, norm = last_.gradient_norm;
  last_ = event;
  if (event.kind == Kind::step) {
    if (first_step_ < 0) first_step_ = event.step;
    losses_.push_back(event.loss);
    recent_loss_ += event.loss, ++recent_steps_;
    computed_ += static_cast<double>(event.computed), seconds_ += event.seconds;
    if (!terminal_.has_controls()) return;
    write_all(terminal_.fd(), "\r\x1b[K" + terminal_.styled(Style::dim, living_line()),
              "standard error");
    is_drawn_ = true;
    return;
  }
  last_.learning_rate = rate, last_.gradient_norm = norm;
  valid_loss_ = event.loss, validation_seconds_ += event.seconds;
  wipe();
  std::string head = fmt::format("{:>7}  {:>8}  {:>8}  {:>8}  {:>7}  {:>8}  {:>8}\n", "step",
                                 "loss", "valid", "rate", "norm", "tokens/s", "memory");
  if (!has_head_) write_all(terminal_.fd(), terminal_.styled(Style::bold, head), "standard error");
  has_head_ = true;
  write_all(terminal_.fd(), row() + "\n", "standard error");
  recent_loss_ = 0, recent_steps_ = 0;
}

}  // namespace tarn::cli
