#include "tarn/optim/schedules.h"

#include <numbers>

#include "base/require.h"
#include "nn/weak.h"

namespace tarn::optim {

using nn::operator""_w;
using nn::Weak;

namespace {
void check_steps(const char* schedule, const char* what, int64_t steps) {
  require(steps >= 1, "[{}] {} is {}; it must be positive.", schedule, what, steps);
}
}  // namespace

Schedule exponential_decay(double init, double decay_rate) {
  return [=](const array& step) { return Weak(init) * power(array(decay_rate), step); };
}

Schedule step_decay(double init, double decay_rate, int64_t step_size) {
  check_steps("step_decay", "step_size", step_size);
  return [=](const array& step) {
    return Weak(init) * power(array(decay_rate), floor_divide(step, Weak(step_size).like(step)));
  };
}

Schedule cosine_decay(double init, int64_t decay_steps, double end) {
  check_steps("cosine_decay", "decay_steps", decay_steps);
  return [=](const array& step) {
    array s = minimum(step, Weak(decay_steps));
    double turn = std::numbers::pi / static_cast<double>(decay_steps);
    array decay = 0.5_w * (1.0_w + cos(Weak(turn) * s));
    return Weak(end) + decay * Weak(init - end);
  };
}

Schedule linear_schedule(double init, double end, int64_t steps) {
  check_steps("linear_schedule", "steps", steps);
  return [=](const array& step) {
    double slope = (end - init) / static_cast<double>(steps);
    return minimum(step, Weak(steps)) * Weak(slope) + Weak(init);
  };
}

Schedule join_schedules(std::vector<Schedule> schedules, std::vector<int64_t> boundaries) {
  require(!schedules.empty() && schedules.size() == boundaries.size() + 1,
          "[join_schedules] {} schedules and {} boundaries: one boundary less than schedules is "
          "needed.",
          schedules.size(), boundaries.size());
  return [=](const array& step) {
    array rate = schedules[0](step);
    for (size_t i = 0; i < boundaries.size(); ++i) {
      array from = Weak(boundaries[i]).like(step);
      rate = where(step < from, rate, schedules[i + 1](step - from));
    }
    return rate;
  };
}

}  // namespace tarn::optim
