// What turns one word into token ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "lm/tokenizer/token_table.h"

namespace tarn::lm::tokenizer {

using Tokens = std::shared_ptr<const TokenTable>;

class Model {
 public:
  virtual ~Model() = default;
  // Appends the ids of `word`, which is not empty; it is valid UTF-8, except for a byte-level
  // model, whose words are any bytes. Called from any thread.
  virtual void encode(std::string_view word, std::vector<int32_t>& ids) const = 0;
};

// The 256 ids of "<0x00>" … "<0xFF>", or an empty vector if one of them is missing.
std::vector<int32_t> byte_token_ids(const TokenTable& tokens);

}  // namespace tarn::lm::tokenizer
