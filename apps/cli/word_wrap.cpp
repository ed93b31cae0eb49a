#include "word_wrap.h"
#include "base/text.h"

#include <algorithm>

#include "terminal.h"

namespace tarn::cli {
namespace {

constexpr std::string_view spaces = " \t\n";
constexpr int tab_width = 8;

}  // namespace

std::string WordWrap::feed(std::string_view piece, int columns) {
  // A cursor behind the last column would not move as it does elsewhere.
  int usable = columns - 1;
  std::string out;
  while (!piece.empty()) {
    size_t end = std::min(piece.find_first_of(spaces), piece.size());
    if (end == 0) {
      add_space(piece[end++], usable, out);
    } else if (is_left_alone_) {
      out += piece.substr(0, end);
    } else {
      add_run(piece.substr(0, end), usable, out);
    }
    piece.remove_prefix(end);
  }
  return out;
}

void WordWrap::add_run(std::string_view run, int usable, std::string& out) {
  std::string word = word_ + std::string(run);
  int width = display_width(word);
  int column = column_ - word_width_ + width;
  is_left_alone_ = width > usable;
  if (column > usable && !is_left_alone_) {
    if (word_width_ > 0) out += fmt::format("\x1b[{}D\x1b[K", word_width_);
    break_line(out);
    out += word;
    column = width;
  } else {
    out += run;
  }
  column_ = column;
  word_ = std::move(word);
  word_width_ = width;
}

void WordWrap::add_space(char space, int usable, std::string& out) {
  word_.clear();
  word_width_ = 0;
  int next = space == '\t' ? (column_ / tab_width + 1) * tab_width : column_ + 1;
  if (space == '\n') {
    break_line(out);
  } else if (next <= usable || is_left_alone_) {
    out += space;
    column_ = next;
  } else {
    // The next word goes to the next line, and spaces at a line's end are not seen.
    column_ = usable;
  }
}

void WordWrap::break_line(std::string& out) {
  out += '\n';
  column_ = 0;
  word_.clear();
  word_width_ = 0;
  is_left_alone_ = false;
}

}  // namespace tarn::cli
