// Text by format strings, read light: <fmt/format.h> would compile all number printing into each
// object file that uses it, two seconds each; with <fmt/core.h> the library does it.
#pragma once

#include <fmt/core.h>

#include <string_view>

namespace tarn {

template <class Range>
struct Joined {
  const Range& items;
  std::string_view separator;
};
// The items, apart by `separator`; written only when the text is. `items` must live until then.
template <class Range>
Joined<Range> joined(const Range& items, std::string_view separator = ", ") {
  return {items, separator};
}

}  // namespace tarn

template <class Range>
struct fmt::formatter<tarn::Joined<Range>> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(const tarn::Joined<Range>& range, format_context& context) const {
    auto out = context.out();
    std::string_view before;
    for (const auto& item : range.items) {
      out = fmt::format_to(out, "{}{}", before, item);
      before = range.separator;
    }
    return out;
  }
};
