// Byte pair encoding by merge rank, on bytes (GPT-2 and after) or on characters.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lm/tokenizer/model.h"

namespace tarn::lm::tokenizer {

struct BpeOptions {
  bool byte_level = false;          // words are bytes, tokens spell them in the byte-level alphabet
  bool byte_fallback = false;       // characters without a token become "<0x..>" tokens
  bool ignore_merges = false;       // a word that is a token is that token, whatever the merges say
  bool fuse_unk = false;            // neighbouring unknown characters give one unk
  std::optional<int32_t> unk{};     // absent: unknown characters give nothing
  std::string continuing_prefix{};  // before every symbol but a word's first
  std::string word_suffix{};        // after a word's last symbol
};

class Bpe : public Model {
 public:
  using Merge = std::pair<std::string_view, std::string_view>;

  // `file` is named when a merge speaks of tokens that do not exist.
  Bpe(Tokens tokens, const std::vector<Merge>& merges, BpeOptions options, const std::string& file);
  // Without merges: two symbols join if what they make is one of the tokens [first, last), the
  // smallest id first.
  static std::unique_ptr<const Bpe> by_rank(Tokens tokens, BpeOptions options, int32_t first,
                                            int32_t last);
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;

 private:
  static constexpr uint64_t kNoPair = ~uint64_t{0};
  static constexpr uint32_t kNoRank = ~uint32_t{0};
  struct Rule {
    uint64_t pair = kNoPair;
    uint32_t rank = kNoRank;
    int32_t merged = -1;
  };

  Bpe(Tokens tokens, BpeOptions options, size_t rules);
  // The rule for a pair; one without a rank if there is none.
  const Rule& rule_for(int32_t left, int32_t right) const;
  void add_rule(int32_t left, int32_t right, uint32_t rank, int32_t merged);
  std::optional<int32_t> symbol(std::string_view character, bool first, bool last) const;
  std::optional<int32_t> whole_word(std::string_view word) const;
  void append_symbols(std::string_view word, std::vector<int32_t>& ids) const;
  void append_characters(std::string_view word, std::vector<int32_t>& ids) const;
  void merge_short(std::vector<int32_t>& ids, size_t begin) const;
  void merge_long(std::vector<int32_t>& ids, size_t begin) const;

  Tokens tokens_;
  BpeOptions options_;
  uint64_t seed_ = hash_seed();
  std::vector<Rule> rules_;              // open addressing, at most half full
  std::array<int32_t, 256> byte_ids_{};  // byte level: the token of each single byte, or -1
  std::vector<int32_t> fallback_ids_{};  // the "<0x..>" tokens
};

}  // namespace tarn::lm::tokenizer
