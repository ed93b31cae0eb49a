// Text that comes piece by piece, broken between words at a terminal's width.
#pragma once

#include <string>
#include <string_view>

namespace tarn::cli {

// What feed() returns is written at once: a word that turns out too long for its line is erased
// there and written again on the next. Takes text without control characters but tab and newline.
// A line that someone copies from the terminal ends where it was broken.
class WordWrap {
 public:
  // `columns` of the terminal now.
  std::string feed(std::string_view piece, int columns);

 private:
  void add_run(std::string_view run, int usable, std::string& out);
  void add_space(char space, int usable, std::string& out);
  void break_line(std::string& out);

  int column_ = 0;      // where the cursor is
  std::string word_{};  // what stands left of it since the last space
  int word_width_ = 0;
  bool is_left_alone_ = false;  // until the next newline: the terminal broke a long word itself
};

}  // namespace tarn::cli
