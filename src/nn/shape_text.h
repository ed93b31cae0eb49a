// Shapes in messages, as the ops write them: (2, 3) and (2,).
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "tarn/array.h"

namespace tarn::nn {

struct ShapeText {
  const Shape& shape;
};
inline ShapeText text_of(const Shape& shape) { return {shape}; }
inline ShapeText text_of(const array& a) { return {a.shape()}; }

}  // namespace tarn::nn

template <>
struct fmt::formatter<tarn::nn::ShapeText> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const tarn::nn::ShapeText& s, Context& context) const {
    return fmt::format_to(context.out(), "({}{})", fmt::join(s.shape, ", "),
                          s.shape.size() == 1 ? "," : "");
  }
};
