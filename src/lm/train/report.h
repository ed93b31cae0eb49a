// A run as one page: curves drawn as SVG, no script, nothing to fetch.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/research.h"
#include "tarn/lm/train.h"

namespace tarn::lm {

std::string report_of(const std::string& title,
                      const std::vector<std::pair<std::string, std::string>>& facts,
                      const std::vector<TrainEvent>& events);

// Trials in their order: each seed's loss as a dot, the means of those that were kept as a line.
std::string leaderboard_page(const std::vector<Trial>& trials, const std::string& text);

}  // namespace tarn::lm
