// The JSON behind a Config.
#pragma once

#include <string>

#include "base/json.h"
#include "tarn/lm/config.h"

namespace tarn::lm {

struct Config::Content {
  Json json{};
  std::string file{}, place{};  // place: "rope_scaling." inside of that object
};

Config config_from(Json object, const std::string& file);

}  // namespace tarn::lm
