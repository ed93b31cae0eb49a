// One line a check: require(cond, "[op] what was given, what is needed", args...).
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "tarn/error.h"

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

}  // namespace tarn
