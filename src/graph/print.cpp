// Arrays as NumPy prints them: 4 decimals as needed, long axes cut in the middle.
#include <cmath>
#include <ostream>
#include <string>

#include "base/require.h"
#include "graph/node.h"

namespace tarn {
namespace {

constexpr int64_t edge = 3;         // elements shown at each end of a cut axis
constexpr int64_t cut_from = 1000;  // arrays larger than this are cut

template <class T>
std::string text_of(T v) {
  if constexpr (std::is_same_v<T, bool>)
    return v ? "True" : "False";
  else if constexpr (std::is_integral_v<T>)
    return fmt::format("{}", v);
  else if constexpr (std::is_same_v<T, complex64_t>) {
    return fmt::format("{:.6g}{:+.6g}j", v.real(), v.imag());
  } else {
    auto x = static_cast<double>(v);
    if (std::isnan(x)) return "nan";
    if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
    return fmt::format("{:.6g}", x);
  }
}

template <class T>
struct Printer {
  std::ostream& out;
  const T* data;
  const Shape& shape;
  const Strides& strides;
  bool cut;

  void row(size_t axis, int64_t offset, int indent) {
    if (axis == shape.size()) {
      out << text_of(data[offset]);
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

std::ostream& operator<<(std::ostream& out, const array& a) {
  a.eval();
  bool cut = a.size() > cut_from;
  out << "array(";
  visit_dtype(a.dtype(), [&](auto t) {
    using T = decltype(t);
    Printer<T> p{out, a.data<T>(), a.shape(), a.strides(), cut};
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
