// Ops that move elements without changing them.
#pragma once

#include "ops/kinds.h"

namespace tarn::ops {

// How an update meets the value that is there.
enum class Update : uint8_t { set, add, prod, max, min };

#define TARN_RULES                                                         \
  using Kind = Movement;                                                   \
  static ArraySpec infer(const Params& params, std::span<const array> in); \
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch);
#define TARN_TRANSPOSE static std::vector<Maybe> transpose(const Call& call, const array& g);
#define TARN_JVP static std::vector<Maybe> jvp(const Call& call, std::span<const Maybe> tangents);
#define TARN_VIEW static std::optional<Layout> view(const Params& params, const Layout& of);

// The value itself under another name; `stop` cuts derivatives.
struct Alias {
  static constexpr Spec spec{"alias", Types::number, "The same value; may cut derivatives."};
  struct P {
    bool stop = false;
    TARN_FIELDS(stop)
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE TARN_VIEW TARN_JVP
};
struct Reshape {
  static constexpr Spec spec{"reshape", Types::number,
                             "The elements in row order, in a new shape."};
  struct P {
    Shape shape{};
    TARN_FIELDS(shape)
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE TARN_VIEW static std::optional<Params> resize(const Shape& was_in,
                                                                          const Shape& was_out,
                                                                          const Shape& in,
                                                                          const SizeChange& sizes);
};
struct Transpose {
  static constexpr Spec spec{"transpose", Types::number, "The axes in another order."};
  struct P {
    Axes axes{};
    TARN_FIELDS(axes)
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE TARN_VIEW
};
struct BroadcastTo {
  static constexpr Spec spec{"broadcast_to", Types::number, "Repeated along axes of size 1."};
  struct P {
    Shape shape{};
    TARN_FIELDS(shape)
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE TARN_VIEW
};
struct Slice {
  static constexpr Spec spec{"slice", Types::number, "A box of elements, with steps."};
  struct P {
    Shape start{}, size{}, step{};
    TARN_FIELDS(start, size, step)
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE TARN_VIEW
};
// in: src, update. The box starts at `start`, which may change without a new plan.
struct SliceUpdate {
  static constexpr Spec spec{"slice_update", Types::number, "src with a box replaced."};
  struct P {
    Update mode = Update::set;
    Shape step{};
    Shape start{};
    TARN_FIELDS(mode, step)
    TARN_RUNTIME_FIELDS(start)
  };
  static constexpr int linear = 2;
  TARN_RULES TARN_TRANSPOSE
};
struct AsStrided {
  static constexpr Spec spec{"as_strided", Types::number, "A view with strides of one's own."};
  struct P {
    Shape shape{};
    Strides strides{};
    int64_t offset = 0;
    TARN_FIELDS(shape, strides, offset)
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE TARN_VIEW
};
struct ViewAs {
  static constexpr Spec spec{"view", Types::number, "The same bits in another dtype."};
  struct P {
    Dtype dtype{};
    TARN_FIELDS(dtype)
  };
  using grad = none;
  TARN_RULES
};
struct Concatenate {
  static constexpr Spec spec{"concatenate", Types::number, "Joined along an axis."};
  struct P {
    int axis = 0;
    TARN_FIELDS(axis)
  };
  static constexpr int linear = 0;
  TARN_RULES TARN_TRANSPOSE
};
// in: a, then one index array an axis, all of one shape.
struct Gather {
  static constexpr Spec spec{"gather", Types::number, "Boxes chosen by index arrays."};
  struct P {
    Axes axes{};
    Shape slice_sizes{};
    TARN_FIELDS(axes, slice_sizes)
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE
};
// in: a, updates, then one index array an axis.
struct Scatter {
  static constexpr Spec spec{"scatter", Types::number, "Boxes updated at index arrays."};
  struct P {
    Update mode = Update::set;
    Axes axes{};
    TARN_FIELDS(mode, axes)
  };
  static constexpr int linear = 2;
  TARN_RULES TARN_TRANSPOSE TARN_JVP
};
// in: a, indices of the same rank.
struct GatherAxis {
  static constexpr Spec spec{"take_along_axis", Types::number, "One index an element, on an axis."};
  struct P {
    int axis = 0;
    TARN_FIELDS(axis)
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE
};
// in: a, updates, indices.
struct ScatterAxis {
  static constexpr Spec spec{"put_along_axis", Types::number, "Updates at one index an element."};
  struct P {
    Update mode = Update::set;
    int axis = 0;
    TARN_FIELDS(mode, axis)
  };
  static constexpr int linear = 2;
  TARN_RULES TARN_TRANSPOSE TARN_JVP
};
struct ArgSort {
  static constexpr Spec spec{"argsort", Types::number, "Indices that sort an axis; stable."};
  using P = SortParams;
  using grad = none;
  TARN_RULES
};
// in: sorted lines (batch, n) and values (batch, m). The first place, or with `right` the one
// behind the last, at which a value can stand.
struct SearchSorted {
  static constexpr Spec spec{"searchsorted", Types::number, "Where values belong in sorted lines."};
  struct P {
    bool right = false;
    TARN_FIELDS(right)
  };
  using grad = none;
  TARN_RULES
};
// in: a, then what has to be computed before it.
struct Depends {
  static constexpr Spec spec{"depends", Types::number, "The same value, computed after others."};
  struct P {
    TARN_FIELDS()
  };
  static constexpr int linear = 1;
  TARN_RULES TARN_TRANSPOSE
};

#undef TARN_RULES
#undef TARN_TRANSPOSE
#undef TARN_JVP
#undef TARN_VIEW

// Recorded with parameters that are already normalised.
array slice_of(const array& a, Shape start, Shape size, Shape step, StreamOrDevice s = {});
array update_slice(const array& src, const array& update, Update mode, Shape start, Shape step,
                   StreamOrDevice s = {});

using MovementOps =
    List<Alias, Reshape, Transpose, BroadcastTo, Slice, SliceUpdate, AsStrided, ViewAs, Concatenate,
         Gather, Scatter, GatherAxis, ScatterAxis, ArgSort, SearchSorted, Depends>;

}  // namespace tarn::ops
