// Word wrap of a streamed answer, read back from a model of the terminal.
#include "cli/word_wrap.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tarn::cli {
namespace {

using std::string;

// A terminal `columns` wide that knows what the wrap writes: cursor left, erase to the end of the
// line, newline. One byte is one column.
class Screen {
 public:
  explicit Screen(int columns) : columns_(static_cast<size_t>(columns)) {}

  void write(const string& text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\x1b') {
        size_t end = text.find_first_of("DK", i);
        if (text[end] == 'D') column_ -= std::stoul(text.substr(i + 2));
        if (text[end] == 'K') lines_.back().resize(column_);
        i = end;
      } else if (text[i] == '\n') {
        next_line();
      } else {
        if (column_ == columns_) next_line();
        lines_.back().resize(column_);
        lines_.back() += text[i];
        ++column_;
      }
    }
  }
  // Lines joined by |.
  string text() const {
    string all = lines_.front();
    for (size_t i = 1; i < lines_.size(); ++i) all += "|" + lines_[i];
    return all;
  }

 private:
  void next_line() {
    lines_.emplace_back();
    column_ = 0;
  }
  size_t columns_;
  size_t column_ = 0;
  std::vector<string> lines_{""};
};

string wrapped(const std::vector<string>& pieces, int columns) {
  WordWrap wrap;
  Screen screen(columns);
  for (const string& piece : pieces) screen.write(wrap.feed(piece, columns));
  return screen.text();
}

TEST(WordWrap, BreaksBetweenWords) {
  EXPECT_EQ(wrapped({"the sea is wide"}, 11), "the sea is|wide");
  EXPECT_EQ(wrapped({"the sea", " is", " wide"}, 11), "the sea is|wide");
}

TEST(WordWrap, MovesAWordThatGrowsTooLong) {
  EXPECT_EQ(wrapped({"the sea is", " w", "i", "de", " and"}, 13), "the sea is |wide and");
}

TEST(WordWrap, IsTheSameForAnyPieces) {
  string text = "In the beginning there was\na  lake,\n\nand fishes \n in it";
  for (int columns = 11; columns < 30; ++columns) {
    std::vector<string> letters;
    for (char c : text) letters.emplace_back(1, c);
    string lines = wrapped({text}, columns), by_letter = wrapped(letters, columns);
    auto without_spaces_at_ends = [](string s) {
      for (size_t at; (at = s.find(" |")) != string::npos;) s.erase(at, 1);
      return s;
    };
    EXPECT_EQ(without_spaces_at_ends(by_letter), without_spaces_at_ends(lines)) << columns;
  }
}

TEST(WordWrap, KeepsNewlinesAndIndents) { EXPECT_EQ(wrapped({"a\n\n  b\n"}, 20), "a||  b|"); }

TEST(WordWrap, LeavesAWordLongerThanALineToTheTerminal) {
  EXPECT_EQ(wrapped({"ab ", "0123456789", "0123456789", " cd\nef gh ijk"}, 10),
            "ab 0123456|7890123456|789 cd|ef gh ijk");
}

TEST(WordWrap, CountsColumnsNotBytes) {
  WordWrap wrap;
  EXPECT_EQ(wrap.feed("naïve naïve", 12), "naïve naïve");
  EXPECT_EQ(wrap.feed(" x", 12), "\nx");
  EXPECT_EQ(WordWrap().feed("ab 日本", 7), "ab \n日本");
}

}  // namespace
}  // namespace tarn::cli
