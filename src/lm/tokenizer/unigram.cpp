#include "lm/tokenizer/unigram.h"

#include <algorithm>

#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {

Unigram::Unigram(Tokens tokens, std::vector<double> scores, UnigramOptions options)
    : tokens_(std::move(tokens)), scores_(std::move(scores)), options_(std::move(options)) {
  constexpr double kUnknownPenalty = 10;
  if (options_.byte_fallback) fallback_ids_ = byte_token_ids(*tokens_);
  double lowest = scores_.empty() ? 0 : *std::min_element(scores_.begin(), scores_.end());
  unknown_score_ = options_.lowest_score.value_or(lowest) - kUnknownPenalty;
  for (int32_t id = 0; id < tokens_->size(); ++id) {
    auto text = tokens_->text(id);
    bool left_out = !options_.left_out.empty() && options_.left_out[static_cast<size_t>(id)];
    if (!text.empty() && !left_out && tokens_->find(text) == id) sorted_.push_back(id);
  }
  std::sort(sorted_.begin(), sorted_.end(),
            [&](int32_t a, int32_t b) { return tokens_->text(a) < tokens_->text(b); });
  first_.assign(257, 0);
  for (int32_t id : sorted_) ++first_[static_cast<unsigned char>(tokens_->text(id)[0]) + size_t{1}];
  for (size_t b = 1; b < first_.size(); ++b) first_[b] += first_[b - 1];
}

std::vector<Unigram::Step> Unigram::best_steps(std::string_view word) const {
  std::vector<Step> best(word.size() + 1);
  best[0].id = kUnknown;
  auto reach = [&](size_t from, size_t to, double score, int32_t id) {
    if (options_.single_precision) score = static_cast<float>(score);
    if (best[to].id == kUnreached || score > best[to].score) best[to] = {score, from, id};
  };
  for (size_t from = 0; from < word.size();) {
    size_t character = character_at(word, from).length;
    double here = best[from].score;
    bool single = false;
    auto lead = static_cast<unsigned char>(word[from]);
    auto low = sorted_.begin() + first_[lead], high = sorted_.begin() + first_[lead + size_t{1}];
    // [low, high) are the tokens that begin with word[from, to); the shortest of them is first.
    for (size_t to = from + 1; low != high; ++to) {
      if (tokens_->text(*low).size() == to - from) {
        reach(from, to, here + scores_[static_cast<size_t>(*low)], *low);
        single = single || to - from == character;
        ++low;
      }
      if (to == word.size()) break;
      auto next = static_cast<unsigned char>(word[to]);
      auto byte = [&](int32_t id) {
        return static_cast<unsigned char>(tokens_->text(id)[to - from]);
      };
      if (low == high || (byte(*low) == next && byte(*(high - 1)) == next)) continue;
      low = std::lower_bound(low, high, next, [&](int32_t id, auto b) { return byte(id) < b; });
      high = std::upper_bound(low, high, next, [&](auto b, int32_t id) { return b < byte(id); });
    }
    if (!single) reach(from, from + character, here + unknown_score_, kUnknown);
    from += character;
  }
  return best;
}

void Unigram::encode(std::string_view word, std::vector<int32_t>& ids) const {
  std::vector<Step> best = best_steps(word);
  struct Piece {
    size_t from = 0, to = 0;
    int32_t id = kUnknown;
  };
  std::vector<Piece> pieces;  // last to first; neighbouring unknown characters are one
  for (size_t to = word.size(); to > 0; to = best[to].from) {
    bool more = best[to].id == kUnknown && !pieces.empty() && pieces.back().id == kUnknown;
    if (more)
      pieces.back().from = best[to].from;
    else
      pieces.push_back({best[to].from, to, best[to].id});
  }
  for (size_t i = pieces.size(); i-- > 0;) {
    const Piece& piece = pieces[i];
    if (piece.id == kUnknown || piece.id == options_.unk)
      append_unknown(word.substr(piece.from, piece.to - piece.from), ids);
    else
      ids.push_back(piece.id);
  }
}

void Unigram::append_unknown(std::string_view text, std::vector<int32_t>& ids) const {
  auto known = options_.left_out.empty() ? tokens_->find(text) : std::nullopt;
  if (known) {  // the unknown token itself, written out
    ids.push_back(*known);
  } else if (!fallback_ids_.empty()) {
    for (char byte : text) ids.push_back(fallback_ids_[static_cast<unsigned char>(byte)]);
  } else if (options_.unk) {
    ids.push_back(*options_.unk);
  }
}

}  // namespace tarn::lm::tokenizer
