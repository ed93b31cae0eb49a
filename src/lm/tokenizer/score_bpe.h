// SentencePiece's byte pair encoding: of all neighbours whose joined text is a token, the one with
// the highest score is joined first.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lm/tokenizer/model.h"

namespace tarn::lm::tokenizer {

class ScoreBpe : public Model {
 public:
  // What a merge may make of a token; `never` is for control, unknown and byte tokens.
  enum class Use : uint8_t { normal, taken_apart, never };

  // `scores` and `uses` have an entry for each id. A token that is `taken_apart` may appear on the
  // way to a longer one, and is split into the two parts it came from if it is left at the end.
  ScoreBpe(Tokens tokens, std::vector<float> scores, std::vector<Use> uses,
           std::optional<int32_t> unk);
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;

 private:
  struct Run;
  std::optional<int32_t> usable(std::string_view text) const;
  void append_unknown(std::string_view text, std::vector<int32_t>& ids, size_t begin) const;

  Tokens tokens_;
  std::vector<float> scores_;
  std::vector<Use> uses_;
  std::optional<int32_t> unk_;
  std::vector<int32_t> fallback_ids_;  // the "<0x..>" tokens, or empty
};

}  // namespace tarn::lm::tokenizer
