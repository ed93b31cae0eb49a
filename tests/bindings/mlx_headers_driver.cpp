// Prints where the elements of views lie. It is an MLX program: tests/oracle/mlx_headers_test.py
// builds it against MLX as well and compares.
#include <iostream>
#include <string>
#include <vector>

#include "mlx/mlx.h"

namespace mx = mlx::core;

// Axes of size 1 are left out: no element is reached through their strides.
void show(const std::string& name, mx::array a) {
  mx::eval(a);
  std::cout << name << ": shape";
  for (size_t i = 0; i < a.ndim(); ++i) std::cout << " " << a.shape(static_cast<int>(i));
  std::cout << ", strides";
  for (size_t i = 0; i < a.ndim(); ++i)
    if (a.shape(static_cast<int>(i)) != 1) std::cout << " " << a.strides(static_cast<int>(i));
  auto flags = a.flags();
  std::cout << ", flags " << flags.contiguous << flags.row_contiguous << flags.col_contiguous
            << ", data_size " << a.data_size() << ", offset " << a.offset() << ", size " << a.size()
            << ", nbytes " << a.nbytes() << ", first " << (a.size() == 0 ? -1 : *a.data<int32_t>())
            << ", available " << a.is_available() << ", has_primitive " << a.has_primitive()
            << "\n";
}

int main() {
  auto base = mx::reshape(mx::arange(24), {2, 3, 4});
  mx::eval(base);
  show("base", base);
  show("number", mx::array(7));
  show("transpose", mx::transpose(base));
  show("transpose 0 2 1", mx::transpose(base, {0, 2, 1}));
  show("swapaxes", mx::swapaxes(base, 0, 1));
  show("moveaxis", mx::moveaxis(base, 0, 2));
  show("slice", mx::slice(base, {0, 1, 0}, {2, 3, 4}));
  show("slice of rows", mx::slice(base, {1, 0, 0}, {2, 3, 4}));
  show("slice of columns", mx::slice(base, {0, 0, 1}, {2, 3, 3}));
  show("slice with steps", mx::slice(base, {0, 0, 0}, {2, 3, 4}, {1, 2, 2}));
  show("slice backwards", mx::slice(base, {0, 0, 3}, {2, 3, -5}, {1, 1, -1}));
  show("empty slice", mx::slice(base, {0, 1, 0}, {2, 1, 4}));
  show("expand_dims", mx::expand_dims(base, 1));
  show("squeeze", mx::squeeze(mx::expand_dims(base, {0, 3})));
  show("reshape", mx::reshape(base, {6, 4}));
  show("flatten", mx::flatten(base));
  show("unflatten", mx::unflatten(base, 2, {2, 2}));
  show("broadcast of a row", mx::broadcast_to(mx::slice(base, {0, 0, 0}, {1, 1, 4}), {2, 3, 4}));
  show("broadcast of a column", mx::broadcast_to(mx::slice(base, {0, 0, 0}, {2, 3, 1}), {2, 3, 4}));
  show("broadcast of a number", mx::broadcast_to(mx::array(5), {2, 2}));
  show("diagonal", mx::diagonal(mx::reshape(base, {4, 6}), 1));
  show("as_strided", mx::as_strided(base, {3, 2}, {2, 5}, 4));
  auto odd = mx::slice(mx::transpose(base), {1, 0, 0}, {4, 3, 1});
  show("slice of a transpose", odd);
  show("transpose of a slice", mx::transpose(mx::slice(base, {0, 1, 1}, {2, 3, 4})));
  show("contiguous", mx::contiguous(odd));
  show("copy", mx::copy(base));
  for (const auto& part : mx::split(base, 2, 2)) show("split", part);
}
