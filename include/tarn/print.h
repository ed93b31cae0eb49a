// How arrays and numbers are printed.
#pragma once

#include <complex>
#include <iosfwd>
#include <ostream>
#include <vector>

#include "tarn/array.h"

namespace tarn {

struct PrintOptions {
  int precision = -1;  // digits after the point; -1: six that count
};

// Prints single numbers as arrays show them.
struct PrintFormatter {
  bool capitalize_bool = true;  // True, not true
  PrintOptions format_options{};

  void print(std::ostream& out, bool v) const;
  void print(std::ostream& out, int16_t v) const;
  void print(std::ostream& out, uint16_t v) const;
  void print(std::ostream& out, int32_t v) const;
  void print(std::ostream& out, uint32_t v) const;
  void print(std::ostream& out, int64_t v) const;
  void print(std::ostream& out, uint64_t v) const;
  void print(std::ostream& out, float16_t v) const;
  void print(std::ostream& out, bfloat16_t v) const;
  void print(std::ostream& out, float v) const;
  void print(std::ostream& out, double v) const;
  void print(std::ostream& out, complex64_t v) const;
  // As numbers, not as characters.
  void print(std::ostream& out, int8_t v) const { print(out, int32_t{v}); }
  void print(std::ostream& out, uint8_t v) const { print(out, uint32_t{v}); }
};

// The calling thread's options. Throws ValueError for a precision below -1 or above 100.
void set_printoptions(PrintOptions options);
// The calling thread's formatter, which may be changed.
PrintFormatter& get_global_formatter();

// (1, 2, 3)
template <class T>
requires requires(std::ostream& out, const T& v) { out << v; }
std::ostream& operator<<(std::ostream& out, const std::vector<T>& values) {
  out << '(';
  for (size_t i = 0; i < values.size(); ++i) out << (i ? ", " : "") << values[i];
  return out << (values.size() == 1 ? ",)" : ")");
}

}  // namespace tarn
