#include "lm/tokenizer/decoder.h"

#include <utility>

#include "lm/tokenizer/normalizer.h"
#include "lm/tokenizer/token_table.h"

namespace tarn::lm::tokenizer {

std::string Decoder::operator()(std::string_view token, bool first) const {
  std::string text(token);
  for (const DecodeStep& step : steps) step(text, first);
  if (joined_by_spaces && !first) text.insert(0, 1, ' ');
  return text;
}

DecodeStep decode_byte_level() {
  return [](std::string& token, bool) {
    std::string bytes;
    if (append_spelled_bytes(bytes, token)) token = std::move(bytes);
  };
}

DecodeStep decode_byte_fallback() {
  return [](std::string& token, bool) {
    if (auto byte = byte_of_token(token)) token.assign(1, static_cast<char>(*byte));
  };
}

DecodeStep decode_replace(std::string from, std::string to) {
  return [from = std::move(from), to = std::move(to)](std::string& token, bool) {
    if (token.find(from) != std::string::npos) token = replaced(token, from, to);
  };
}

DecodeStep decode_metaspace(std::string with, bool drop_first) {
  return [with = std::move(with), drop_first](std::string& token, bool first) {
    token = replaced(token, with, first && drop_first ? "" : " ");
  };
}

DecodeStep decode_strip(char strip, size_t left, size_t right) {
  return [strip, left, right](std::string& token, bool) {
    size_t begin = 0, end = token.size();
    while (begin < left && begin < end && token[begin] == strip) ++begin;
    for (size_t i = 0; i < right && end > begin && token[end - 1] == strip; ++i) --end;
    token = token.substr(begin, end - begin);
  };
}

DecodeStep decode_word_piece(std::string prefix, bool cleanup) {
  return [prefix = std::move(prefix), cleanup](std::string& token, bool first) {
    if (!first && !prefix.empty() && token.starts_with(prefix))
      token.erase(0, prefix.size());
    else if (!first)
      token.insert(0, 1, ' ');
    constexpr std::pair<std::string_view, std::string_view> kCleanups[] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    if (!cleanup) return;
    for (const auto& pair : kCleanups) token = replaced(token, pair.first, pair.second);
  };
}

}  // namespace tarn::lm::tokenizer
