#include "base/cache_folder.h"

#include <cstdlib>
#include <utility>

namespace tarn {

std::filesystem::path cache_folder() {
  auto from = [](const char* variable, const char* tail) -> std::filesystem::path {
    const char* value = std::getenv(variable);
    return value && *value ? std::filesystem::path(value) / tail : std::filesystem::path();
  };
  for (auto [variable, tail] : {std::pair{"TARN_CACHE", ""}, std::pair{"XDG_CACHE_HOME", "tarn"},
                                std::pair{"HOME", ".cache/tarn"}})
    if (auto path = from(variable, tail); !path.empty()) return path;
  return ".tarn-cache";
}

}  // namespace tarn
