#include "base/printable.h"
#include "lm/tools/payload.h"

namespace tarn::lm::tools {
namespace {

Json json_of_word(const std::string& word) {
  if (word == "True" || word == "true") return true;
  if (word == "False" || word == "false") return false;
  if (word == "None" || word == "null") return nullptr;
  bool may_be_number = !word.empty() && word.find_first_not_of("+-.0123456789eE") == word.npos;
  Json number = may_be_number ? Json::parse(word, nullptr, false) : Json(Json::value_t::discarded);
  return number.is_discarded() ? Json(word) : number;
}

}  // namespace

void LooseReader::malformed(std::string_view wanted) const {
  reject(RejectedToolCall::Reason::malformed_syntax, "", "At byte {}: {} is needed, not `{}`.", at_,
         wanted, printable(text_.substr(at_), 24));
}

void LooseReader::skip_space() {
  at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
}

bool LooseReader::at_end() {
  skip_space();
  return at_ == text_.size();
}

bool LooseReader::take(std::string_view expected) {
  skip_space();
  bool there = text_.substr(at_).starts_with(expected);
  if (there) at_ += expected.size();
  return there;
}

std::string LooseReader::word(std::string_view until) {
  skip_space();
  size_t end = std::min(text_.find_first_of(until, at_), text_.size());
  std::string found(trimmed(text_.substr(at_, end - at_)));
  at_ = end;
  return found;
}

std::string LooseReader::quoted(char delimiter) {
  std::string out;
  for (; at_ < text_.size(); ++at_) {
    char c = text_[at_];
    if (c == delimiter) {
      ++at_;
      return out;
    }
    if (c == '\\' && at_ + 1 < text_.size()) {
      c = text_[++at_];
      c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
    }
    out += c;
  }
  malformed("the end of a text");
}

Json LooseReader::items() {
  Json list = Json::array();
  while (!take("]")) {
    list.push_back(value());
    if (!take(",") && !text_.substr(at_).starts_with("]")) malformed("`,` or `]`");
  }
  return list;
}

Json LooseReader::members(char separator, char end) {
  Json object = Json::object();
  std::string_view closing(&end, 1);
  while (!take(closing)) {
    std::string key;
    if (take("\"") || take("'"))
      key = quoted(text_[at_ - 1]);
    else
      key = word(std::string{separator, end, ','});
    if (key.empty() || !take(std::string_view(&separator, 1))) malformed("a name and its value");
    object[key] = value();
    if (!take(",") && !text_.substr(at_).starts_with(closing)) malformed("`,` or the end");
  }
  return object;
}

Json LooseReader::value() {
  if (++depth_ > most_depth)
    reject(RejectedToolCall::Reason::malformed_syntax, "", "Values nest deeper than {}.",
           most_depth);
  Json result;
  if (!quote_.empty() && take(quote_)) {
    size_t end = text_.find(quote_, at_);
    if (end == std::string_view::npos) malformed(quote_);
    result = std::string(text_.substr(at_, end - at_));
    at_ = end + quote_.size();
  } else if (take("\"") || take("'")) {
    result = quoted(text_[at_ - 1]);
  } else if (take("[")) {
    result = items();
  } else if (take("{")) {
    result = members(':', '}');
  } else {
    std::string found = word(",)]}");
    if (found.empty()) malformed("a value");
    result = json_of_word(found);
  }
  --depth_;
  return result;
}

}  // namespace tarn::lm::tools
