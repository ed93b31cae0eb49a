// The two kinds of model files, and what they share.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "tarn/gguf.h"
#include "tarn/lm/architecture.h"
#include "tarn/lm/load.h"

namespace tarn::lm {

using Weights = std::unordered_map<std::string, array>;

// How a quantised matrix is packed.
struct Grouping {
  int group_size = 64, bits = 4;
  std::string mode = "affine";
};
using Groupings = std::function<Grouping(const std::string& path)>;

// A checkpoint by the names and sizes of config.json, whatever it was read from.
struct Checkpoint {
  Json config{};
  std::string config_file{}, weights_file{};  // named in errors
  Weights weights{};                          // by the checkpoint's names
  // Of `weights`' quantised matrices, by the checkpoint's names.
  Groupings grouping{};
};

// Throws FileError where a file is missing or damaged. Weights alias mapped files where they can.
Checkpoint read_folder(const std::filesystem::path& folder);
Checkpoint read_gguf(const GgufFile& file);

// A model without its numbers, and the memory that those take.
struct Outline {
  Checkpoint checkpoint{};
  uint64_t mapped = 0, mapped_used = 0, weights = 0;  // as in MemoryPlan
};

// The files of a model, opened.
struct ModelFiles {
  std::filesystem::path path{};
  std::function<LanguageModel()> about{};    // all but the weights
  std::function<Outline()> outline{};        // the weights by their shapes
  std::function<Checkpoint()> checkpoint{};  // the weights
};
ModelFiles open_gguf_model(const std::filesystem::path& file);
ModelFiles open_model_folder(const std::filesystem::path& folder);
// Either of them. Throws FileError for a path where nothing is.
ModelFiles open_model(const std::filesystem::path& path);

// The architecture that `model_type` in the config names. Throws FileError, with the nearest names,
// for one that is not known.
Architecture architecture_of(const Json& config, const std::string& file);

// Brings keys of newer and nested configs to the names and places that families read.
void bring_up_to_date(Json& config);

// The model with every parameter; throws one FileError that lists what is missing, left over or of
// another shape. The head is tied where the config says so or, where it does not say, where there
// is no weight for it.
Model build_model(Checkpoint checkpoint);

}  // namespace tarn::lm
