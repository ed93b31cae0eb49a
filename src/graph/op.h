// What an operation means, as data: its kind and its rules. No backend, no device, no thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "graph/params.h"
#include "tarn/array.h"

namespace tarn {

enum class Kind : uint8_t {
  elementwise,
  reduction,
  movement,
  contraction,
  decomposition,
  fused,
  source
};
const char* name_of(Kind k);

// Where a view's elements lie in its source: strides and offset count elements.
struct Layout {
  Shape shape{};
  Strides strides{};
  int64_t offset = 0;
};

// "No array": a tangent or cotangent that is zero.
using Maybe = std::optional<array>;
using Arrays = std::vector<array>;

// One recorded call, as the rules see it.
struct Call {
  const Params& params;
  std::span<const array> in;
  std::span<const array> out;
};

// Which inputs carry a batch axis (always axis 0) and how long it is.
struct Batch {
  std::span<const bool> mapped;
  int64_t size = 0;
};

using InferRule = ArraySpec (*)(const Params&, std::span<const array> in);
// Cotangents of the inputs from those of the outputs; nothing for a zero.
using VjpRule = std::vector<Maybe> (*)(const Call&, std::span<const Maybe> cotangents);
// Tangents of the outputs from those of the inputs; nothing for a zero.
using JvpRule = std::vector<Maybe> (*)(const Call&, std::span<const Maybe> tangents);
// The outputs for a whole batch, each with the batch as axis 0.
using VmapRule = Arrays (*)(const Params&, std::span<const array> in, const Batch&);
// The same value in plain array operations.
using ExpandRule = Arrays (*)(const Params&, std::span<const array> in);
// The result as a view of the first input, or nothing when the elements must move.
using ViewRule = std::optional<Layout> (*)(const Params&, const Layout& of);

// A call with several results is a node a result: all have the same inputs but for the first, which
// is the result itself, and the results follow it. Rules see such a call once, with all its
// results.
struct ResultOf {
  int which = 0, count = 0;
};

// The parameters when the shapes of input and output were `was_in` and `was_out` and the input is
// now `in`; nothing when that does not follow.
using ResizeRule = std::optional<Params> (*)(const Shape& was_in, const Shape& was_out,
                                             const Shape& in, const SizeChange&);

struct Op {
  std::string_view name;
  Kind kind = Kind::source;
  std::string_view doc;
  InferRule infer = nullptr;
  VjpRule vjp = nullptr;
  JvpRule jvp = nullptr;
  VmapRule vmap = nullptr;
  ExpandRule expand = nullptr;
  ViewRule view = nullptr;
  bool cheap = false;     // elementwise: recomputing costs less than storing
  bool in_place = false;  // may write over its first input when nobody else needs that
  // The value is the first input's; only transforms see more in it.
  bool transparent = false;
  ResultOf (*result)(const Params&) = nullptr;  // null: one result
  const Op* kernels_of = nullptr;               // tables list its kernels under this op
  ResizeRule resize = nullptr;                  // null: Params::resized
  const ParamsType* params = nullptr;           // of its parameters; null when it has none
};

}  // namespace tarn
