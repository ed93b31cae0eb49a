// Which bytes of a text the template did not write itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tarn/lm/text_range.h"

namespace tarn::lm::jinja {

struct Text;

// A text under construction. `foreign` are the parts that came from the variables or were made by a
// function that does not say: in order, apart from each other, none empty. What the template's
// author wrote is all the rest.
struct Marked {
  std::string text{};
  std::vector<TextRange> foreign{};

  void append_own(std::string_view s) { text += s; }
  void append_foreign(std::string_view s);
  // `part` must be a view into `from`.
  void append(const Text& from, std::string_view part);
  void append(const Text& from);
};

}  // namespace tarn::lm::jinja
