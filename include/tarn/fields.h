// TARN_FIELDS(a, b, c) lists a struct's members once; loading, saving, walking, comparing, hashing
// and printing all read that list.
#pragma once

#include <string_view>

// __VA_OPT__ recursion: 4 levels of 4 expansions serve up to 256 names.
#define TARN_PARENS ()
#define TARN_EXPAND(...) TARN_EXPAND3(TARN_EXPAND3(TARN_EXPAND3(TARN_EXPAND3(__VA_ARGS__))))
#define TARN_EXPAND3(...) TARN_EXPAND2(TARN_EXPAND2(TARN_EXPAND2(TARN_EXPAND2(__VA_ARGS__))))
#define TARN_EXPAND2(...) TARN_EXPAND1(TARN_EXPAND1(TARN_EXPAND1(TARN_EXPAND1(__VA_ARGS__))))
#define TARN_EXPAND1(...) __VA_ARGS__
#define TARN_FOR_EACH(macro, ...) __VA_OPT__(TARN_EXPAND(TARN_FOR_EACH_(macro, __VA_ARGS__)))
#define TARN_FOR_EACH_(macro, first, ...) \
  macro(first) __VA_OPT__(TARN_FOR_EACH_AGAIN TARN_PARENS(macro, __VA_ARGS__))
#define TARN_FOR_EACH_AGAIN() TARN_FOR_EACH_

#define TARN_FIELD_(name) visit(std::string_view(#name), self.name);
#define TARN_FIELDS_AS_(function, ...)                                                \
  template <class Self, class Visit>                                                  \
  static void function([[maybe_unused]] Self& self, [[maybe_unused]] Visit&& visit) { \
    TARN_FOR_EACH(TARN_FIELD_, __VA_ARGS__)                                           \
  }
#define TARN_FIELDS(...) TARN_FIELDS_AS_(fields, __VA_ARGS__)
// Members of an op's parameters that may change from one evaluation to the next without a new plan.
#define TARN_RUNTIME_FIELDS(...) TARN_FIELDS_AS_(runtime_fields, __VA_ARGS__)
