// Arrays as NumPy prints them: 4 decimals as needed, long axes cut in the middle.
#include <cmath>
#include <ostream>
#include <string>

#include "base/require.h"
#include "graph/node.h"
#include "tarn/print.h"

namespace tarn {
namespace {

constexpr int64_t edge = 3;         // elements shown at each end of a cut axis
constexpr int64_t cut_from = 1000;  // arrays larger than this are cut

std::string text_of(double x, int precision) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  return precision < 0 ? fmt::format("{:.6g}", x) : fmt::format("{:.{}f}", x, precision);
}

template <class T>
struct Printer {
  std::ostream& out;
  const T* data;
  const Shape& shape;
  const Strides& strides;
  bool cut;
  const PrintFormatter& numbers;

  void row(size_t axis, int64_t offset, int indent) {
    if (axis == shape.size()) {
      numbers.print(out, data[offset]);
      return;
    }
    out << '[';
    for (int64_t i = 0; i < shape[axis]; ++i) {
      if (i > 0) separate(axis, indent);
      if (cut && shape[axis] > 2 * edge && i == edge) {
        out << "...";
        i = shape[axis] - edge - 1;
        continue;
      }
      row(axis + 1, offset + i * strides[axis], indent + 1);
    }
    out << ']';
  }
  void separate(size_t axis, int indent) {
    out << ',';
    if (axis + 1 == shape.size())
      out << ' ';
    else
      out << '\n' << std::string(static_cast<size_t>(indent), ' ');
  }
};

}  // namespace

void PrintFormatter::print(std::ostream& out, bool v) const {
  out << (capitalize_bool ? (v ? "True" : "False") : (v ? "true" : "false"));
}
void PrintFormatter::print(std::ostream& out, int16_t v) const { print(out, int64_t{v}); }
void PrintFormatter::print(std::ostream& out, uint16_t v) const { print(out, uint64_t{v}); }
void PrintFormatter::print(std::ostream& out, int32_t v) const { print(out, int64_t{v}); }
void PrintFormatter::print(std::ostream& out, uint32_t v) const { print(out, uint64_t{v}); }
void PrintFormatter::print(std::ostream& out, int64_t v) const { out << fmt::format("{}", v); }
void PrintFormatter::print(std::ostream& out, uint64_t v) const { out << fmt::format("{}", v); }
void PrintFormatter::print(std::ostream& out, float16_t v) const {
  print(out, static_cast<double>(static_cast<float>(v)));
}
void PrintFormatter::print(std::ostream& out, bfloat16_t v) const {
  print(out, static_cast<double>(static_cast<float>(v)));
}
void PrintFormatter::print(std::ostream& out, float v) const { print(out, double{v}); }
void PrintFormatter::print(std::ostream& out, double v) const {
  out << text_of(v, format_options.precision);
}
void PrintFormatter::print(std::ostream& out, complex64_t v) const {
  std::string imaginary = text_of(double{v.imag()}, format_options.precision);
  print(out, v.real());
  out << (imaginary[0] == '-' ? "" : "+") << imaginary << 'j';
}

PrintFormatter& get_global_formatter() {
  thread_local PrintFormatter formatter;
  return formatter;
}
void set_printoptions(PrintOptions options) {
  require(options.precision >= -1 && options.precision <= 100,
          "[set_printoptions] precision is {}; it must lie between -1 and 100.", options.precision);
  get_global_formatter().format_options = options;
}

std::ostream& operator<<(std::ostream& out, const array& a) {
  a.eval();
  bool cut = a.size() > cut_from;
  out << "array(";
  visit_dtype(a.dtype(), [&](auto t) {
    using T = decltype(t);
    Printer<T> p{out, a.data<T>(), a.shape(), a.strides(), cut, get_global_formatter()};
    p.row(0, 0, 7);
  });
  return out << ", dtype=" << name_of(a.dtype()) << ")";
}

std::ostream& operator<<(std::ostream& out, Device d) {
  return out << "Device(" << (d.type == Device::cpu ? "cpu" : "gpu") << ", " << d.index << ")";
}
std::ostream& operator<<(std::ostream& out, Stream s) {
  return out << "Stream(" << s.device << ", " << s.index << ")";
}

}  // namespace tarn
