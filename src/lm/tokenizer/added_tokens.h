// Tokens that are cut out of a text before anything else looks at it: <|im_start|>, <tool_call> …
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tarn/lm/text_range.h"

namespace tarn::lm::tokenizer {

struct AddedToken {
  int32_t id = 0;
  std::string content{};
  bool special = false;
  bool single_word = false;                      // not inside a longer word
  bool left_strip = false, right_strip = false;  // takes the white space at that side with it
  bool normalized = false;  // looked for after the normalizer ran, as the normalizer writes it
};

// Whether [begin, end) has a byte in common with one of the ranges, which are in order.
bool touches(std::span<const TextRange> ranges, size_t begin, size_t end);

class AddedTokens {
 public:
  static constexpr size_t kLongest = 512;        // bytes; bounds the work on each byte of a text
  static constexpr size_t kMostBytes = 1 << 20;  // of all tokens together

  // A part of a text: an added token, or what stands between two of them.
  struct Part {
    std::string_view text{};
    int32_t id = -1;
    bool special = false;
  };

  // Looks for `content` in place of token.content. Nothing is added, and the answer is false, if
  // there are too many tokens or this one is too long.
  [[nodiscard]] bool add(const AddedToken& token, std::string_view content);
  bool empty() const { return tokens_.empty(); }
  // How long the longest token at a place of the text is, or 0.
  size_t length_at(std::string_view text, size_t at) const;

  // The parts of `text`, none of them empty. At each place the longest token counts. Special ones
  // count only with `parse_special`, and not where they touch a range of `foreign`.
  std::vector<Part> split(std::string_view text, bool parse_special,
                          std::span<const TextRange> foreign = {}) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, int32_t>> next{};  // by byte
    int32_t token = -1;
  };
  // What tells whether a special token may stand in a range of the text.
  struct Filter {
    bool parse_special = true;
    std::span<const TextRange> foreign{};
    bool lets_through(const AddedToken& token, size_t begin, size_t end) const;
  };
  const AddedToken* longest_at(std::string_view text, size_t at, const Filter& filter,
                               size_t& length) const;

  std::vector<AddedToken> tokens_{};
  std::vector<Node> nodes_{1};
  std::array<bool, 256> begins_{};  // bytes that some token begins with
};

}  // namespace tarn::lm::tokenizer
