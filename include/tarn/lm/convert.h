// A model's files in another form: quantised, dequantised, in another dtype, as GGUF or as a
// folder.
#pragma once

#include <cstdint>
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
  // Where no matrix would be, that is a ValueError; `note` is told of those that are quantised
  // already.
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
  bool any_base = false;   // also adapters that were made for another model
  std::stop_token stop{};  // Cancelled is thrown soon after a request, and nothing is left
  // Safetensors files larger than this become several with an index. A single array may be larger.
  uint64_t shard_bytes = 5'000'000'000;
  std::function<void(const std::string& text)> note{};  // called with what a user should know
};

// Reads the model at `from`, a folder or a GGUF file, and writes it to `to`, which must not be
// there yet: a GGUF file when its name ends in .gguf, else a folder that mlx-lm reads as well. `to`
// appears when all of it is written and synced, or not at all.
// From a folder to a folder everything that is no weight comes along. A folder or GGUF file made
// from a GGUF file gets that file's vocabulary and chat template. In a GGUF file matrices stay
// quantised where a type of that format holds them to the last bit (gguf_type_of); others become
// float16, and `note` is told. Throws FileError and ValueError; nothing stays behind.
void convert(const std::filesystem::path& from, const std::filesystem::path& to,
             const ConvertOptions& options);

}  // namespace tarn::lm
