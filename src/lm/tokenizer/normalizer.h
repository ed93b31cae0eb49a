// What a text goes through before it is cut into words: steps from string to string.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lm/tokenizer/regex.h"

namespace tarn::lm::tokenizer {

// Where a piece of text stands between the added tokens around it.
struct Place {
  bool at_start = true;                 // nothing comes before it
  bool after_special = false;           // a special token does
  Deadline deadline = Deadline::max();  // for all patterns together
};

using Normalizer = std::function<std::string(std::string, Place)>;

// A normalizer may not make more of a text than this, whatever the file says.
constexpr size_t largest_normalized(size_t bytes) { return 16 * bytes + (size_t{1} << 20); }
// Text that a file puts in for other text.
constexpr size_t kLongestContent = 256;

std::string replaced(std::string_view text, std::string_view from, std::string_view to);
std::string replaced(std::string_view text, const Regex& from, std::string_view to,
                     Deadline deadline);
// Without the white space at the left and right end.
std::string stripped(std::string_view text, bool left, bool right);
// Without combining marks: all of them, or only those that take no room of their own.
enum class Marks : bool { all, nonspacing };
std::string without_marks(std::string_view text, Marks marks);

// Without the control characters that Google's NMT drops, and with its many kinds of space plain.
std::string nmt_normalized(std::string_view text);

struct BertNormalizer {
  bool clean_text = true;  // drop control characters, make all white space plain
  bool space_around_cjk = true;
  bool strip_accents = true;
  bool lowercase = true;
  std::string operator()(std::string text, Place) const;
};

// The normalizers one after another. `where` is named when they make too much of a text.
Normalizer in_sequence(std::vector<Normalizer> steps, std::string where);

}  // namespace tarn::lm::tokenizer
