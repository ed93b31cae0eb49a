// Where downloaded models and compiled kernels are kept.
#pragma once

#include <filesystem>

namespace tarn {

// $TARN_CACHE, $XDG_CACHE_HOME/tarn, ~/.cache/tarn, or .tarn-cache where none of them is set.
std::filesystem::path cache_folder();

}  // namespace tarn
