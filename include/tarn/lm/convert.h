// A model's files in another form: quantised, dequantised, in another dtype, as GGUF or as a
// folder.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tarn/dtype.h"
#include "tarn/nn/quantize.h"

namespace tarn::lm {

struct ConvertOptions {
  // Dense matrices whose columns make whole groups are quantised like this; none: left as they are.
  std::optional<nn::Quantization> quantization{};
  // One of mlx-lm's mixtures of bits, "mixed_2_6", "mixed_3_4", "mixed_3_6" or "mixed_4_6": values,
  // the last part of an MLP and the head get more of them, in some layers.
  std::string recipe{};
  // How one matrix is quantised, or nothing for one that stays dense; it goes before the recipe.
  std::function<std::optional<nn::Quantization>(const std::string& path, const nn::Matrix& matrix)>
      choose{};
  bool dequantise = false;       // first; the numbers are what the quantised ones stood for
  std::optional<Dtype> dtype{};  // of everything that is not quantised, and of scales
  // Folders of adapters that are folded into the weights, before anything else is done.
  std::vector<std::filesystem::path> adapters{};
  std::stop_token stop{};        // Cancelled is thrown soon after a request, and nothing is left
};

// Reads the model at `from`, a folder or a GGUF file, and writes it to `to`, which must not be
// there yet: a GGUF file when its name ends in .gguf, which holds dense weights only, else a folder
// that mlx-lm reads as well. `to` appears when all of it is written and synced, or not at all.
// From a folder to a folder everything that is no weight comes along. A folder made from a GGUF
// file has no tokenizer.json: that of the original model has to be put there.
// Throws FileError and ValueError; nothing stays behind.
void convert(const std::filesystem::path& from, const std::filesystem::path& to,
             const ConvertOptions& options);

}  // namespace tarn::lm
