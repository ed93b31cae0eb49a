#include "lm/tokenizer/decoder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lm/tokenizer/normalizer.h"
#include "lm/tokenizer/token_table.h"

namespace tarn::lm::tokenizer {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kCleanups{{
    {" .", "."},
    {" ?", "?"},
    {" !", "!"},
    {" ,", ","},
    {" ' ", "'"},
    {" n't", "n't"},
    {" 'm", "'m"},
    {" do not", " don't"},
    {" 's", "'s"},
    {" 've", "'ve"},
    {" 're", "'re"},
}};

void clean_up(std::string& token) {
  for (const auto& pair : kCleanups)
    if (token.find(pair.first) != token.npos) token = replaced(token, pair.first, pair.second);
}

std::string without_ends(std::string_view text, std::string_view strip, size_t left, size_t right) {
  for (; left > 0 && text.starts_with(strip); --left) text.remove_prefix(strip.size());
  for (; right > 0 && text.ends_with(strip); --right) text.remove_suffix(strip.size());
  return std::string(text);
}

class ReplaceInText : public TextStep {
 public:
  ReplaceInText(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}

  void add(std::string_view text, TextState& state, std::string& out) const override {
    state.held.append(text);
    std::string_view rest = state.held;
    for (size_t at = 0; (at = rest.find(from_)) != rest.npos;) {
      out.append(rest.substr(0, at)).append(to_);
      rest.remove_prefix(at + from_.size());
    }
    size_t kept = std::min(rest.size(), from_.size() - 1);
    while (kept > 0 && !from_.starts_with(rest.substr(rest.size() - kept))) --kept;
    out.append(rest.substr(0, rest.size() - kept));
    state.held = std::string(rest.substr(rest.size() - kept));
  }
  void finish(TextState& state, std::string& out) const override { out.append(state.held); }

 private:
  std::string from_, to_;
};

class StripText : public TextStep {
 public:
  StripText(std::string strip, size_t left, size_t right)
      : strip_(std::move(strip)), left_(left), right_(right) {}

  // state.done counts what was dropped at the left; it is past left_ once other text came.
  void add(std::string_view text, TextState& state, std::string& out) const override {
    state.held.append(text);
    std::string_view rest = state.held;
    for (; state.done < left_ && rest.starts_with(strip_); ++state.done)
      rest.remove_prefix(strip_.size());
    if (!rest.empty()) state.done = left_;
    size_t kept = 0;
    for (size_t i = 0; i < right_ && rest.substr(0, rest.size() - kept).ends_with(strip_); ++i)
      kept += strip_.size();
    out.append(rest.substr(0, rest.size() - kept));
    state.held = std::string(rest.substr(rest.size() - kept));
  }
  void finish(TextState&, std::string&) const override {}  // what is held is what is dropped

 private:
  std::string strip_;
  size_t left_, right_;
};

class WholeText : public TextStep {
 public:
  explicit WholeText(std::function<void(std::string&)> rewrite) : rewrite_(std::move(rewrite)) {}
  void add(std::string_view text, TextState& state, std::string&) const override {
    state.held.append(text);
  }
  void finish(TextState& state, std::string& out) const override {
    rewrite_(state.held);
    out.append(state.held);
  }

 private:
  std::function<void(std::string&)> rewrite_;
};

}  // namespace

std::string Decoder::operator()(std::string_view token, Standing standing) const {
  std::string text(token);
  for (const DecodeStep& step : steps) step(text, standing);
  if (joined_by_spaces && !standing.first) text.insert(0, 1, ' ');
  return text;
}

DecodeStep decode_byte_level() {
  return [](std::string& token, Standing) {
    std::string bytes;
    if (append_spelled_bytes(bytes, token)) token = std::move(bytes);
  };
}

DecodeStep decode_byte_fallback() {
  return [](std::string& token, Standing) {
    if (auto byte = byte_of_token(token)) token.assign(1, static_cast<char>(*byte));
  };
}

DecodeStep decode_replace(std::string from, std::string to) {
  return [from = std::move(from), to = std::move(to)](std::string& token, Standing) {
    if (token.find(from) != std::string::npos) token = replaced(token, from, to);
  };
}

DecodeStep decode_replace(Regex from, std::string to) {
  return [from = std::move(from), to = std::move(to)](std::string& token, Standing) {
    token = replaced(token, from, to, deadline_for(token.size()));
  };
}

DecodeStep decode_metaspace(std::string with, bool drop_first) {
  return [with = std::move(with), drop_first](std::string& token, Standing standing) {
    token = replaced(token, with, standing.first && drop_first ? "" : " ");
  };
}

DecodeStep decode_strip(std::string strip, size_t left, size_t right) {
  return [strip = std::move(strip), left, right](std::string& token, Standing) {
    token = without_ends(token, strip, left, right);
  };
}

DecodeStep decode_word_piece(std::string prefix, bool cleanup) {
  return [prefix = std::move(prefix), cleanup](std::string& token, Standing standing) {
    if (!standing.first && !prefix.empty() && token.starts_with(prefix))
      token.erase(0, prefix.size());
    else if (!standing.first)
      token.insert(0, 1, ' ');
    if (cleanup) clean_up(token);
  };
}

DecodeStep decode_word_suffix(std::string suffix) {
  return [suffix = std::move(suffix)](std::string& token, Standing standing) {
    token = replaced(token, suffix, standing.last ? "" : " ");
  };
}

DecodeStep decode_ctc(std::string pad, std::string delimiter, bool cleanup) {
  return [pad = std::move(pad), delimiter = std::move(delimiter), cleanup](std::string& token,
                                                                           Standing) {
    token = replaced(token, pad, "");
    if (!cleanup) return;
    clean_up(token);
    token = replaced(token, delimiter, " ");
  };
}

std::unique_ptr<const TextStep> replace_in_text(std::string from, std::string to) {
  return std::make_unique<ReplaceInText>(std::move(from), std::move(to));
}

std::unique_ptr<const TextStep> strip_text(std::string strip, size_t left, size_t right) {
  return std::make_unique<StripText>(std::move(strip), left, right);
}

std::unique_ptr<const TextStep> whole_text(std::function<void(std::string&)> rewrite) {
  return std::make_unique<WholeText>(std::move(rewrite));
}

std::vector<std::unique_ptr<const TextStep>> cleanup_of_text() {
  std::vector<std::unique_ptr<const TextStep>> out;
  for (const auto& [from, to] : kCleanups)
    out.push_back(replace_in_text(std::string(from), std::string(to)));
  return out;
}

}  // namespace tarn::lm::tokenizer
