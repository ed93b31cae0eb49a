#include "lm/tokenizer/parts.h"

#include "base/require.h"

namespace tarn::lm::tokenizer {
namespace {

bool has(const std::vector<bool>& flags, int32_t id) {
  return id >= 0 && static_cast<size_t>(id) < flags.size() && flags[static_cast<size_t>(id)];
}

void set(std::vector<bool>& flags, int32_t id) {
  if (static_cast<size_t>(id) >= flags.size()) flags.resize(static_cast<size_t>(id) + 1);
  flags[static_cast<size_t>(id)] = true;
}

}  // namespace

void Parts::add_token(const AddedToken& token, bool is_literal, Deadline deadline) {
  if (is_literal) set(literal, token.id);
  if (!token.normalized || !normalizer) return add_spelled(token, token.content, added);
  Place place;
  place.deadline = deadline;
  std::string content = normalizer(token.content, place);
  add_spelled(token, content, added_normalized);
  if (content != token.content) respelled[token.id] = std::move(content);
}

void Parts::add_spelled(const AddedToken& token, std::string_view content, AddedTokens& to) {
  if (token.special) set(special, token.id);
  require<FileError>(to.add(token, content),
                     "[load] {}: added token {} has {} bytes; at most {}, and {} for all together, "
                     "are taken.",
                     file, token.id, content.size(), AddedTokens::kLongest,
                     AddedTokens::kMostBytes);
}

std::string_view Parts::spelled(int32_t id) const {
  auto found = respelled.find(id);
  return found != respelled.end() ? found->second : tokens->text(id);
}

void Parts::finish() {
  meanings.clear();
  meaning_ends.clear();
  meaning_ends.reserve(static_cast<size_t>(tokens->size()));
  for (int32_t id = 0; id < tokens->size(); ++id) {
    std::string_view text = spelled(id);
    if (has(literal, id))
      meanings.append(text);
    else if (!text.empty())
      meanings.append(decoder(text, {}));
    meaning_ends.push_back(meanings.size());
  }
}

std::string_view Parts::meaning(int32_t id) const {
  if (id < 0 || id >= tokens->size()) return {};
  auto at = static_cast<size_t>(id);
  uint64_t begin = at > 0 ? meaning_ends[at - 1] : 0;
  return std::string_view(meanings).substr(begin, meaning_ends[at] - begin);
}

std::string Parts::meaning(int32_t id, Standing standing) const {
  std::string_view text = spelled(id);
  if (text.empty() || has(literal, id)) return std::string(text);
  return decoder(text, standing);
}

bool Parts::is_special(int32_t id) const { return has(special, id); }

}  // namespace tarn::lm::tokenizer
