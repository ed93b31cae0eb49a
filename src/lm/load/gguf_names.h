// What llama.cpp's files call things, and what they are in config.json and in the model.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "tarn/gguf.h"

namespace tarn::lm {

// A family as GGUF files know it.
struct GgufFamily {
  std::string_view architecture{};  // general.architecture
  std::string_view model_type{};    // config.json's
  bool permuted = false;            // rows of q and k lie so that rotated pairs are neighbours
  bool offset_norms = false;        // norms are stored as 1 + weight
  bool fused = false, post_norms = false;
};

// Throws FileError, with the names of those that are known, for another one.
const GgufFamily& gguf_family(const GgufFile& file);
const GgufFamily* gguf_family_of(std::string_view model_type);

// The model's name of a tensor, and back; the name itself where it is not known, "" on the way
// back.
std::string name_from_gguf(const GgufFamily& family, std::string_view name);
std::string name_to_gguf(const GgufFamily& family, std::string_view name);

// config.json from the metadata.
Json config_from_gguf(const GgufFamily& family, const GgufFile& file);

// Which row of the file each row is: (i, i + half) are pairs with us. Row r of a head comes from
// row 2 r or 2 (r - half) + 1.
GgufRowOrder gguf_row_order(const GgufFamily& family, const Json& config);

}  // namespace tarn::lm
