// A run as one page: curves drawn as SVG, no script, nothing to fetch.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/train.h"

namespace tarn::lm {

std::string report_of(const std::string& title,
                      const std::vector<std::pair<std::string, std::string>>& facts,
                      const std::vector<TrainEvent>& events);

}  // namespace tarn::lm
