// The two kinds of model folders, and what they share.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/json.h"
#include "tarn/lm/load.h"

namespace tarn::lm {

LanguageModel load_gguf_model(const std::filesystem::path& file, const LoadOptions& options);
LanguageModel load_model_folder(const std::filesystem::path& folder, const LoadOptions& options);

// Builds the architecture that `model_type` in the config names. Throws FileError otherwise.
Model make_model(const Json& config, const std::string& file);

// Gives every parameter of the model its array, and every array its parameter: throws one
// FileError that lists what is missing, left over or of another shape.
using Weights = std::unordered_map<std::string, array>;
struct Grouping {
  int group_size = 64, bits = 4;
};
void fill_parameters(Model& model, Weights weights,
                     const std::function<Grouping(const std::string& path)>& grouping,
                     const std::string& file);

}  // namespace tarn::lm
