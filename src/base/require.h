// One line a check: require(cond, "[op] what was given, what is needed", args...).
#pragma once

#include <utility>

#include "base/text.h"
#include "tarn/error.h"
#include "tarn/shape.h"

namespace tarn {

template <class E = ValueError, class... Args>
[[noreturn, gnu::cold, gnu::noinline]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw E(fmt::format(text, std::forward<Args>(args)...));
}

// Throws E with the formatted text unless `ok`. The text is formatted on failure only.
template <class E = ValueError, class... Args>
[[gnu::always_inline]] inline void require(bool ok, fmt::format_string<Args...> text,
                                           Args&&... args) {
  if (!ok) [[unlikely]]
    fail<E>(text, std::forward<Args>(args)...);
}

// A shape as `(2, 3)` or `(2,)`: written only when a message is, so it may stand among the
// arguments of a check that holds.
struct ShapeText {
  const Shape& shape;
};
inline ShapeText text_of(const Shape& shape) { return {shape}; }

}  // namespace tarn

template <>
struct fmt::formatter<tarn::ShapeText> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(const tarn::ShapeText& s, format_context& context) const {
    return fmt::format_to(context.out(), "({}{})", tarn::joined(s.shape),
                          s.shape.size() == 1 ? "," : "");
  }
};
