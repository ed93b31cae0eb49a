#include "lm/tokenizer/added_tokens.h"

#include <algorithm>

#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

size_t character_start(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
  return at;
}

bool word_ends_at(std::string_view text, size_t at) {
  return at > 0 && is_word(character_at(text, character_start(text, at)).code);
}

bool word_begins_at(std::string_view text, size_t at) {
  return at < text.size() && is_word(character_at(text, at).code);
}

// Where the edge for `byte` is, or belongs.
template <class Edges>
auto edge_for(Edges& edges, unsigned char byte) {
  return std::lower_bound(edges.begin(), edges.end(), byte,
                          [](const auto& edge, unsigned char b) { return edge.first < b; });
}

}  // namespace

bool touches(std::span<const TextRange> ranges, size_t begin, size_t end) {
  auto at = std::lower_bound(ranges.begin(), ranges.end(), begin,
                             [](const TextRange& r, size_t b) { return r.end <= b; });
  return at != ranges.end() && at->begin < end;
}

bool AddedTokens::add(const AddedToken& token, std::string_view content) {
  if (content.empty()) return true;
  if (content.size() > kLongest || nodes_.size() + content.size() > kMostBytes) return false;
  begins_[static_cast<unsigned char>(content[0])] = true;
  int32_t node = 0;
  for (char c : content) {
    auto byte = static_cast<unsigned char>(c);
    auto& next = nodes_[static_cast<size_t>(node)].next;
    auto edge = edge_for(next, byte);
    if (edge != next.end() && edge->first == byte) {
      node = edge->second;
      continue;
    }
    node = static_cast<int32_t>(nodes_.size());
    next.insert(edge, {byte, node});
    nodes_.push_back(Node{});
  }
  nodes_[static_cast<size_t>(node)].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
  return true;
}

bool AddedTokens::Filter::lets_through(const AddedToken& token, size_t begin, size_t end) const {
  return !token.special || (parse_special && !touches(foreign, begin, end));
}

size_t AddedTokens::length_at(std::string_view text, size_t at) const {
  size_t length = 0;
  if (begins_[static_cast<unsigned char>(text[at])]) longest_at(text, at, {}, length);
  return length;
}

const AddedToken* AddedTokens::longest_at(std::string_view text, size_t at, const Filter& filter,
                                          size_t& length) const {
  const AddedToken* found = nullptr;
  const Node* node = &nodes_[0];
  for (size_t i = at; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    auto edge = edge_for(node->next, byte);
    if (edge == node->next.end() || edge->first != byte) break;
    node = &nodes_[static_cast<size_t>(edge->second)];
    if (node->token < 0) continue;
    const AddedToken& token = tokens_[static_cast<size_t>(node->token)];
    if (!filter.lets_through(token, at, i + 1)) continue;
    found = &token;
    length = i + 1 - at;
  }
  return found;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool parse_special,
                                                  std::span<const TextRange> foreign) const {
  const Filter filter{parse_special, foreign};
  std::vector<Part> parts;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    size_t length = 0;
    const AddedToken* token = begins_[static_cast<unsigned char>(text[at])]
                                  ? longest_at(text, at, filter, length)
                                  : nullptr;
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;
    if (token->single_word && (word_ends_at(text, begin) || word_begins_at(text, end))) continue;
    while (token->left_strip && begin > done &&
           is_space(character_at(text, character_start(text, begin)).code))
      begin = character_start(text, begin);
    while (token->right_strip && end < text.size() && is_space(character_at(text, end).code))
      end += character_at(text, end).length;
    if (begin > done) parts.push_back({text.substr(done, begin - done)});
    parts.push_back({text.substr(begin, end - begin), token->id, token->special});
    at = done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done)});
  return parts;
}

}  // namespace tarn::lm::tokenizer
