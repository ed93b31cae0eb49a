#include "lm/chat_template/lexer.h"

#include <algorithm>

#include "base/require.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

// One kind of line end, and one trailing line end fewer.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool ascii_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& name) : name_(name) {
    require(valid_utf8(source), "[chat_template] {}: the text is not valid UTF-8.", name);
    source_ = normalized(source);
  }

  std::vector<Lexeme> run() {
    while (at_ < source_.size()) root();
    push(Token::end, "");
    return std::move(lexemes_);
  }

 private:
  template <class... T>
  [[noreturn]] void fail_at(int line, fmt::format_string<T...> text, T&&... args) {
    fail("[chat_template] {}, line {}: {}", name_, line,
         fmt::format(text, std::forward<T>(args)...));
  }

  char peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  bool looking_at(std::string_view s) const { return source_.compare(at_, s.size(), s) == 0; }

  void push(Token token, std::string text) {
    lexemes_.push_back(Lexeme{token, line_, std::move(text)});
  }

  // Moves to `end` and counts the lines passed.
  void advance(size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(end), '\n'));
    if (end > at_) line_start_ = source_[end - 1] == '\n';
    at_ = end;
  }

  void skip_spaces() {
    size_t end = at_;
    while (const size_t n = space_at(source_, end)) end += n;
    advance(end);
  }

  // The end of a tag: "-%}" eats the space behind it, "+%}" nothing, "%}" one line end.
  bool tag_end(std::string_view close, bool trims) {
    const char sign = peek();
    const size_t skip = sign == '-' || (sign == '+' && trims) ? 1 : 0;
    if (source_.compare(at_ + skip, close.size(), close) != 0) return false;
    size_t end = at_ + skip + close.size();
    if (sign == '-') {
      while (const size_t n = space_at(source_, end)) end += n;
    } else if (skip == 0 && trims && end < source_.size() && source_[end] == '\n') {
      ++end;
    }
    advance(end);
    return true;
  }

  // Template text before a tag whose opening sign is `sign`.
  void data_before(size_t tag, char sign, bool is_variable) {
    std::string_view text = std::string_view(source_).substr(at_, tag - at_);
    if (sign == '-') {
      text = strip(text, false, true);
    } else if (sign != '+' && !is_variable) {
      const size_t newline = text.rfind('\n');
      const size_t line_begin = newline == text.npos ? 0 : newline + 1;
      const std::string_view last = text.substr(line_begin);
      if ((line_begin > 0 || line_start_) && !last.empty() && strip(last, true, false).empty()) {
        text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) push(Token::data, std::string(text));
    advance(tag);
  }

  // Where the next "{{", "{%" or "{#" begins.
  size_t next_tag() const {
    for (size_t tag = source_.find('{', at_); tag != source_.npos;
         tag = source_.find('{', tag + 1)) {
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      if (next == '%' || next == '{' || next == '#') return tag;
    }
    return source_.npos;
  }

  void root() {
    const size_t tag = next_tag();
    if (tag == source_.npos) {
      push(Token::data, source_.substr(at_));
      return advance(source_.size());
    }
    const char kind = source_[tag + 1];
    const char after = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const char sign = after == '-' || after == '+' ? after : '\0';
    data_before(tag, sign, kind == '{');
    const size_t open = tag + 2 + (sign != '\0' ? 1 : 0);
    if (kind == '#') return comment(open);
    if (kind == '%' && raw(open)) return;
    push(kind == '{' ? Token::variable_begin : Token::block_begin, "");
    advance(open);
    code(kind == '{');
  }

  void comment(size_t open) {
    const int line = line_;
    advance(open);
    for (size_t at = open;; ++at) {
      at = source_.find("#}", at);
      if (at == source_.npos) fail_at(line, "this comment has no end, #}} is missing.");
      const char sign = at > open ? source_[at - 1] : '\0';
      advance(sign == '-' || sign == '+' ? at - 1 : at);
      if (tag_end("#}", true)) return;
    }
  }

  // {% raw %} ... {% endraw %}
  bool raw(size_t open) {
    size_t at = open;
    while (const size_t n = space_at(source_, at)) at += n;
    if (source_.compare(at, 3, "raw") != 0) return false;
    at += 3;
    while (const size_t n = space_at(source_, at)) at += n;
    const bool strips = source_.compare(at, 3, "-%}") == 0;
    if (!strips && source_.compare(at, 2, "%}") != 0) return false;
    const int line = line_;
    advance(at + (strips ? 3 : 2));
    if (strips) skip_spaces();
    for (size_t tag = at_;; tag += 2) {
      tag = source_.find("{%", tag);
      if (tag == source_.npos) fail_at(line, "this raw block has no end, endraw is missing.");
      size_t word = tag + 2;
      const char sign = word < source_.size() ? source_[word] : '\0';
      if (sign == '-' || sign == '+') ++word;
      while (const size_t n = space_at(source_, word)) word += n;
      if (source_.compare(word, 6, "endraw") != 0) continue;
      word += 6;
      while (const size_t n = space_at(source_, word)) word += n;
      if (!looks_like_end(word)) continue;
      data_before(tag, sign, false);
      advance(word);
      return tag_end("%}", true);
    }
  }

  bool looks_like_end(size_t at) const {
    const size_t skip = at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? 1 : 0;
    return source_.compare(at + skip, 2, "%}") == 0;
  }

  void code(bool variable) {
    const int begin = line_;
    brackets_.clear();
    while (at_ < source_.size()) {
      if (brackets_.empty() && ends_here(variable)) return;
      if (space_at(source_, at_) > 0) {
        skip_spaces();
      } else if (ascii_digit(peek())) {
        number();
      } else if (peek() == '\'' || peek() == '"') {
        string_literal();
      } else if (!word()) {
        operator_symbol();
      }
    }
    fail_at(begin, "this tag has no end, {} is missing.", variable ? "}}" : "%}");
  }

  bool ends_here(bool variable) {
    const int line = line_;
    if (!tag_end(variable ? "}}" : "%}", !variable)) return false;
    const Token token = variable ? Token::variable_end : Token::block_end;
    lexemes_.push_back(Lexeme{token, line, ""});
    return true;
  }

  bool word() {
    size_t end = at_;
    while (end < source_.size()) {
      size_t next = end;
      if (!is_word(decode(source_, next))) break;
      end = next;
    }
    if (end == at_) return false;
    push(Token::name, source_.substr(at_, end - at_));
    advance(end);
    return true;
  }

  // Digits with single underscores between them.
  size_t digits(size_t at, bool (*accept)(char)) const {
    while (at < source_.size()) {
      if (accept(source_[at])) {
        ++at;
      } else if (source_[at] == '_' && at + 1 < source_.size() && accept(source_[at + 1])) {
        at += 2;
      } else {
        break;
      }
    }
    return at;
  }

  size_t fraction_and_exponent(size_t at) const {
    const auto digit = [&](size_t i) { return i < source_.size() && ascii_digit(source_[i]); };
    if (at < source_.size() && source_[at] == '.' && digit(at + 1))
      at = digits(at + 1, ascii_digit);
    if (at < source_.size() && (source_[at] | 32) == 'e') {
      size_t e = at + 1;
      if (e < source_.size() && (source_[e] == '+' || source_[e] == '-')) ++e;
      if (digit(e)) at = digits(e, ascii_digit);
    }
    return at;
  }

  void number() {
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    const size_t whole_end = digits(at_, ascii_digit);
    const size_t real_end = after_dot ? whole_end : fraction_and_exponent(whole_end);
    size_t end = real_end;
    const char base = static_cast<char>(peek(1) | 32);
    if (end == whole_end && peek() == '0' && (base == 'x' || base == 'b' || base == 'o')) {
      const auto accept =
          base == 'x'
              ? +[](char c) { return ascii_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f'); }
          : base == 'b' ? +[](char c) { return c == '0' || c == '1'; }
                        : +[](char c) { return c >= '0' && c <= '7'; };
      const size_t based_end = digits(at_ + 2, accept);
      if (based_end > at_ + 2) end = based_end;
    } else if (end == whole_end && peek() == '0') {
      end = digits(at_, [](char c) { return c == '0'; });  // 0123 is 0 and then 123, as in Jinja
    }
    std::string text = source_.substr(at_, end - at_);
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    push(end == real_end && end != whole_end ? Token::real : Token::integer, std::move(text));
    advance(end);
  }

  void string_literal() {
    const char quote = peek();
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_at(line_, "this string has no end, {} is missing.", quote);
    push(Token::string, unescaped(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1);
  }

  std::string unescaped(std::string_view raw) {
    std::string out;
    out.reserve(raw.size());
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '\\' || i + 1 >= raw.size()) {
        out += raw[i];
      } else {
        i = escape(raw, i + 1, out);
      }
    }
    return out;
  }

  // The escape whose letter is at `i`; returns the index of its last character.
  size_t escape(std::string_view raw, size_t i, std::string& out) {
    static constexpr std::string_view letters = "\\'\"abfnrtv";
    static constexpr std::string_view meanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = raw[i];
    if (c == '\n') return i;
    if (const size_t known = letters.find(c); known != letters.npos) {
      out += meanings[known];
      return i;
    }
    if (c >= '0' && c <= '7') return octal(raw, i, out);
    const size_t width = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == 'N') fail_at(line_, "\\N{{...}} is not known here; write the character itself.");
    if (width == 0) {
      out += '\\';
      out += c;
      return i;
    }
    uint32_t code = 0;
    for (size_t k = 1; k <= width; ++k) {
      const char h = i + k < raw.size() ? raw[i + k] : '\0';
      const char l = static_cast<char>(h | 32);
      if (!ascii_digit(h) && !(l >= 'a' && l <= 'f')) {
        fail_at(line_, "the escape \\{} needs {} hexadecimal digits.", c, width);
      }
      code = code << 4 | static_cast<uint32_t>(ascii_digit(h) ? h - '0' : l - 'a' + 10);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fail_at(line_, "the escape \\{}{:x} is no character.", c, code);
    }
    append_utf8(out, static_cast<int32_t>(code));
    return i + width;
  }

  static size_t octal(std::string_view raw, size_t i, std::string& out) {
    int32_t code = 0;
    size_t end = i;
    for (; end < raw.size() && end < i + 3 && raw[end] >= '0' && raw[end] <= '7'; ++end) {
      code = code * 8 + (raw[end] - '0');
    }
    append_utf8(out, code);
    return end - 1;
  }

  void operator_symbol() {
    static constexpr std::string_view pairs[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view singles = "+-/*%~[](){}><=.:|,;";
    for (const std::string_view op : pairs) {
      if (looking_at(op)) {
        push(Token::op, std::string(op));
        return advance(at_ + 2);
      }
    }
    const char c = peek();
    if (singles.find(c) == singles.npos) {
      size_t next = at_;
      decode(source_, next);
      fail_at(line_, "unexpected character '{}'.", source_.substr(at_, next - at_));
    }
    bracket(c);
    push(Token::op, std::string(1, c));
    advance(at_ + 1);
  }

  void bracket(char c) {
    if (c == '(') brackets_ += ')';
    if (c == '[') brackets_ += ']';
    if (c == '{') brackets_ += '}';
    if (c != ')' && c != ']' && c != '}') return;
    if (brackets_.empty()) fail_at(line_, "unexpected '{}'.", c);
    if (brackets_.back() != c)
      fail_at(line_, "unexpected '{}', '{}' comes first.", c, brackets_.back());
    brackets_.pop_back();
  }

  const std::string& name_;
  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_start_ = true;
  std::string brackets_;  // that are still open, as their closing characters
  std::vector<Lexeme> lexemes_;
};

}  // namespace

std::vector<Lexeme> tokenize(std::string_view source, const std::string& name) {
  return Lexer(source, name).run();
}

}  // namespace tarn::lm::jinja
