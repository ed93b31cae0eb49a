#include "lm/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "base/printable.h"
#include "base/require.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

// Up to here a scan over all neighbours for each merge is faster than a heap.
constexpr size_t kShortWord = 32;
// Bytes of the longest token, as spelled, for whose ways to come about a ranked vocabulary is
// searched; the longest of real ones has 512.
constexpr size_t kLongestRanked = 2048;

// A symbol of a long word, in a linked list over an array: a merge grows the left one and takes
// the right one out.
struct Symbol {
  int32_t id = -1;  // -1: taken out
  int32_t previous = -1, next = -1;
};

// A merge that was possible when it was queued. The strongest comes first, then the leftmost.
struct Candidate {
  uint32_t rank = 0;
  int32_t at = 0;
  int32_t left = 0, right = 0;  // the ids it joins: if they changed, the candidate is stale
  bool operator<(const Candidate& o) const { return rank != o.rank ? rank > o.rank : at > o.at; }
};

}  // namespace

std::vector<int32_t> byte_token_ids(const TokenTable& tokens) {
  std::vector<int32_t> ids;
  for (int b = 0; b < 256; ++b) {
    auto id = tokens.find(byte_token(static_cast<uint8_t>(b)));
    if (!id) return {};
    ids.push_back(*id);
  }
  return ids;
}

Bpe::Bpe(Tokens tokens, BpeOptions options, size_t rules)
    : tokens_(std::move(tokens)),
      options_(std::move(options)),
      rules_(std::bit_ceil(2 * rules + 16)) {
  if (options_.byte_fallback) fallback_ids_ = byte_token_ids(*tokens_);
  for (size_t b = 0; options_.byte_level && b < 256; ++b) {
    std::string spelled;
    char byte = static_cast<char>(b);
    append_byte_level(spelled, {&byte, 1});
    byte_ids_[b] = tokens_->find(spelled).value_or(-1);
  }
}

Bpe::Bpe(Tokens tokens, const std::vector<Merge>& merges, BpeOptions options,
         const std::string& file)
    : Bpe(std::move(tokens), std::move(options), merges.size()) {
  std::string joined;
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right] = merges[i];
    std::string_view tail = right;
    if (tail.starts_with(options_.continuing_prefix))
      tail.remove_prefix(options_.continuing_prefix.size());
    joined.assign(left).append(tail);
    auto a = tokens_->find(left), b = tokens_->find(right), merged = tokens_->find(joined);
    if (!a || !b || !merged)
      fail<FileError>("[load] {}: merge {} joins `{}` and `{}`, but `{}` is not a token.", file, i,
                      printable(left), printable(right),
                      printable(!a   ? left
                                : !b ? right
                                     : std::string_view(joined)));
    add_rule(*a, *b, static_cast<uint32_t>(i), *merged);
  }
}

std::unique_ptr<const Bpe> Bpe::by_rank(Tokens tokens, BpeOptions options, int32_t first,
                                        int32_t last) {
  struct Pair {
    int32_t left, right, merged;
  };
  std::vector<Pair> pairs;
  auto ranked = [&](std::string_view text) {
    auto id = tokens->find(text);
    return id && *id >= first && *id < last ? id : std::nullopt;
  };
  for (int32_t id = first; id < last; ++id) {
    std::string_view text = tokens->text(id);
    if (text.size() > kLongestRanked) continue;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      auto left = ranked(text.substr(0, cut)), right = ranked(text.substr(cut));
      if (left && right) pairs.push_back({*left, *right, id});
    }
  }
  std::unique_ptr<Bpe> made(new Bpe(std::move(tokens), std::move(options), pairs.size()));
  for (const Pair& p : pairs)
    made->add_rule(p.left, p.right, static_cast<uint32_t>(p.merged), p.merged);
  return made;
}

void Bpe::add_rule(int32_t left, int32_t right, uint32_t rank, int32_t merged) {
  uint64_t pair = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  size_t mask = rules_.size() - 1;
  size_t at = mixed(pair ^ seed_) & mask;
  while (rules_[at].pair != kNoPair && rules_[at].pair != pair) at = (at + 1) & mask;
  rules_[at] = {pair, rank, merged};
}

const Bpe::Rule& Bpe::rule_for(int32_t left, int32_t right) const {
  uint64_t pair = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  size_t mask = rules_.size() - 1;
  for (size_t at = mixed(pair ^ seed_) & mask;; at = (at + 1) & mask) {
    if (rules_[at].pair == pair || rules_[at].pair == kNoPair) return rules_[at];
  }
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (options_.ignore_merges) {
    if (auto id = whole_word(word)) return ids.push_back(*id);
  }
  size_t begin = ids.size();
  append_symbols(word, ids);
  if (ids.size() - begin <= kShortWord)
    merge_short(ids, begin);
  else
    merge_long(ids, begin);
}

std::optional<int32_t> Bpe::whole_word(std::string_view word) const {
  if (!options_.byte_level) return tokens_->find(word);
  if (word.size() > tokens_->longest()) return std::nullopt;
  std::string spelled;
  append_byte_level(spelled, word);
  return tokens_->find(spelled);
}

std::optional<int32_t> Bpe::symbol(std::string_view character, bool first, bool last) const {
  if (options_.continuing_prefix.empty() && options_.word_suffix.empty())
    return tokens_->find(character);
  std::string text;
  if (!first) text = options_.continuing_prefix;
  text.append(character);
  if (last) text.append(options_.word_suffix);
  return tokens_->find(text);
}

void Bpe::append_symbols(std::string_view word, std::vector<int32_t>& ids) const {
  if (!options_.byte_level) return append_characters(word, ids);
  if (!options_.word_suffix.empty() || !options_.continuing_prefix.empty()) {
    std::string spelled;
    append_byte_level(spelled, word);
    return append_characters(spelled, ids);
  }
  for (char byte : word) {
    int32_t id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id >= 0)
      ids.push_back(id);
    else if (options_.unk)
      ids.push_back(*options_.unk);
  }
}

void Bpe::append_characters(std::string_view word, std::vector<int32_t>& ids) const {
  bool after_unknown = false;
  for (size_t at = 0; at < word.size();) {
    std::string_view character = word.substr(at, character_at(word, at).length);
    auto id = symbol(character, at == 0, at + character.size() == word.size());
    at += character.size();
    bool unknown = !id && fallback_ids_.empty();
    if (id) {
      ids.push_back(*id);
    } else if (!unknown) {
      for (char byte : character) ids.push_back(fallback_ids_[static_cast<unsigned char>(byte)]);
    } else if (options_.unk && !(options_.fuse_unk && after_unknown)) {
      ids.push_back(*options_.unk);
    }
    after_unknown = unknown;
  }
}

void Bpe::merge_short(std::vector<int32_t>& ids, size_t begin) const {
  int32_t* symbols = ids.data() + begin;
  size_t count = ids.size() - begin;
  const Rule* rules[kShortWord];  // rules[i] joins symbols i and i + 1
  for (size_t i = 0; i + 1 < count; ++i) rules[i] = &rule_for(symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (rules[i]->rank < rules[best]->rank) best = i;
    if (rules[best]->rank == kNoRank) break;
    symbols[best] = rules[best]->merged;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      if (i + 1 < count) rules[i] = rules[i + 1];
    }
    if (best > 0) rules[best - 1] = &rule_for(symbols[best - 1], symbols[best]);
    if (best + 1 < count) rules[best] = &rule_for(symbols[best], symbols[best + 1]);
  }
  ids.resize(begin + count);
}

void Bpe::merge_long(std::vector<int32_t>& ids, size_t begin) const {
  auto count = static_cast<int32_t>(ids.size() - begin);
  std::vector<Symbol> symbols(static_cast<size_t>(count));
  auto symbol_at = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  for (int32_t i = 0; i < count; ++i)
    symbol_at(i) = {ids[begin + static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1};

  std::priority_queue<Candidate> queue;
  auto offer = [&](int32_t at) {
    if (at < 0 || symbol_at(at).next < 0) return;
    int32_t left = symbol_at(at).id, right = symbol_at(symbol_at(at).next).id;
    const Rule& rule = rule_for(left, right);
    if (rule.rank != kNoRank) queue.push({rule.rank, at, left, right});
  };
  for (int32_t i = 0; i < count; ++i) offer(i);

  while (!queue.empty()) {
    Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbol_at(top.at);
    if (left.id != top.left || left.next < 0 || symbol_at(left.next).id != top.right) continue;
    left.id = rule_for(top.left, top.right).merged;
    Symbol& right = symbol_at(left.next);
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbol_at(left.next).previous = top.at;
    offer(left.previous);
    offer(top.at);
  }
  ids.resize(begin);
  for (int32_t i = 0; i >= 0; i = symbol_at(i).next) ids.push_back(symbol_at(i).id);
}

}  // namespace tarn::lm::tokenizer
