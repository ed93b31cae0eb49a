// What the generated programs use: one call of one overload of MLX's API.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <type_traits>
#include <utility>

#include "mlx/mlx.h"
#include "tarn/tarn.h"

namespace tarn::api_test {

inline array matrix(int rows, int columns) {
  return reshape(arange(0.0, double(rows * columns), float32), Shape{rows, columns});
}
inline const array matrix_of_zeros = zeros(Shape{2, 3}, int32);

using Unary = std::function<array(const array&)>;
using Binary = std::function<array(const array&, const array&)>;
using Scalar = std::function<array(const std::vector<array>&)>;
using Lists = std::function<std::vector<array>(const std::vector<array>&)>;
using ThreeLists = std::function<std::vector<array>(
    const std::vector<array>&, const std::vector<array>&, const std::vector<array>&)>;

// Inputs of convolutions over n axes.
inline array signal(int n) {
  Shape shape(static_cast<size_t>(n) + 2, 5);
  shape.front() = 1;
  shape.back() = 2;
  return ones(shape);
}
inline array kernel(int n) {
  Shape shape(static_cast<size_t>(n) + 2, 3);
  shape.back() = 2;
  return ones(shape);
}
inline const std::string scratch_file =
    (std::filesystem::temp_directory_path() / "tarn_api_test").string();

inline void finish(const array& a) { a.eval(); }
inline void finish(const std::vector<array>& all) { eval(all); }
template <class A, class B>
void finish(const std::pair<A, B>& both) {
  if constexpr (requires { finish(both.first), finish(both.second); }) {
    finish(both.first);
    finish(both.second);
  }
}
template <class T>
void finish(const T&) {}

// Calls `f`, whose result must be a Result, and evaluates what it returns.
template <class Result, class F, class... Args>
void bound(const char* declaration, F f, Args&&... args) {
  using Got = std::remove_cvref_t<std::invoke_result_t<F, Args...>>;
  static_assert(std::is_same_v<Got, std::remove_cvref_t<Result>>, "MLX's result has another type");
  SCOPED_TRACE(declaration);
  try {
    if constexpr (std::is_void_v<Got>)
      f(std::forward<Args>(args)...);
    else
      finish(f(std::forward<Args>(args)...));
  } catch (const std::exception& e) {
    ADD_FAILURE() << e.what();
  }
}

template <class F>
void written(const char* declaration, F f) {
  bound<void>(declaration, f);
}

}  // namespace tarn::api_test
