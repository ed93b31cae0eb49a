// The steps of a conversion.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "lm/load/load.h"
#include "tarn/lm/convert.h"

namespace tarn::lm {

// Throws ValueError for a recipe that is not known, for a way of quantising that there is not, and
// for what does not go together.
void check(const ConvertOptions& options);

// How mlx-lm's recipe quantises a matrix of a model with so many layers.
nn::Quantization by_recipe(const std::string& recipe, const std::string& path, int64_t layers);

// The group size of a way of quantising, or of its mode.
int group_of(const nn::Quantization& how);

// Matrices that no type of GGUF holds to the last bit become float16; gives their number.
int64_t dequantise_for_gguf(Model& model);

// A GGUF file with the weights, the config and the vocabulary and chat template of `from`, a folder
// or another GGUF file.
void write_gguf(const std::filesystem::path& to, Model& model, const Json& config,
                const std::filesystem::path& from);

}  // namespace tarn::lm
