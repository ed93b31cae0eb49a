// Schedules: how a rate changes with the steps.
#pragma once

#include <vector>

#include "tarn/optim/step.h"

namespace tarn::optim {

// init * decay_rate^step.
Schedule exponential_decay(double init, double decay_rate);
// init * decay_rate^(step / step_size), the quotient rounded down. Throws ValueError unless
// step_size is positive; so do the next ones for their steps.
Schedule step_decay(double init, double decay_rate, int64_t step_size);
// Half a cosine from init to end over decay_steps, then end.
Schedule cosine_decay(double init, int64_t decay_steps, double end = 0.0);
// From init to end along a line, then end.
Schedule linear_schedule(double init, double end, int64_t steps);
// schedules[i] from boundaries[i - 1] on, counting from there. Throws ValueError unless there is
// one boundary less than schedules.
Schedule join_schedules(std::vector<Schedule> schedules, std::vector<int64_t> boundaries);

}  // namespace tarn::optim
