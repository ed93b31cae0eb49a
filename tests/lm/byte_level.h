// A byte-level vocabulary small enough to follow by hand.
#pragma once

#include <string>
#include <vector>

#include "error_of.h"
#include "tarn/error.h"
#include "tarn/lm/tokenizer.h"

namespace tarn_test {

// Ids 0 … 255 are the bytes, then come the merges' results, then three added tokens.
inline tarn::lm::Vocabulary byte_level(const std::string& pre = "gpt-2") {
  tarn::lm::Vocabulary v{.model = "gpt2", .pre = pre, .file = "small.gguf"};
  for (uint32_t b = 0, next = 0x100; b < 256; ++b) {
    bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
    uint32_t code = itself ? b : next++;
    if (code < 0x80)
      v.tokens.push_back({static_cast<char>(code)});
    else
      v.tokens.push_back(
          {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))});
  }
  v.merges = {"a a", "aa aa", "t h", "th e", "Ġ the", "Ã ©"};
  for (const char* token : {"aa", "aaaa", "th", "the", "Ġthe", "Ã©"}) v.tokens.push_back(token);
  v.types.assign(v.tokens.size(), 1);
  for (const char* token : {"<|end|>", "<tool>", "<tool><tool>"}) v.tokens.push_back(token);
  v.types.insert(v.types.end(), {3, 4, 4});
  v.bos = v.eos = 262;
  return v;
}
inline constexpr int32_t kAa = 256, kAaaa = 257, kTh = 258, kThe = 259, kSpaceThe = 260, kE = 261,
                         kEnd = 262, kTool = 263, kToolTool = 264;

}  // namespace tarn_test
