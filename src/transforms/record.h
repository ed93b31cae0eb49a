// A function as a list of calls, which can be repeated without the function.
#pragma once

#include <optional>
#include <vector>

#include "tarn/transforms.h"
#include "transforms/trace.h"

namespace tarn {

// Calls whose inputs are arguments and earlier results (>= 0), or ~i for constant i.
struct Recording {
  struct CallOf {
    const Op* op = nullptr;
    Params params{};
    std::vector<int> in{};
    ArraySpec spec{};
  };
  std::vector<ArraySpec> arguments{};
  std::vector<CallOf> calls{};
  Arrays constants{};
  std::vector<int> outputs{};

  Arrays run(const Arrays& inputs) const;
};

// With `with_sizes` what fun makes of single numbers (zeros, arange) is recorded as well, since its
// size may follow from those of the arguments; otherwise it is a constant.
Recording record_function(const ArraysFunction& fun, const std::vector<ArraySpec>& arguments,
                          bool with_sizes);

// The recording for arguments of other sizes, by the rules of its ops; nothing where they cannot
// tell. A guess: what the function does with sizes itself is not known.
std::optional<Recording> resized(const Recording& r, const std::vector<ArraySpec>& arguments);
// Whether both are the same calls on the same constants.
bool same(const Recording& a, const Recording& b);

// Whether a recording that is right at `base` and at `tried`, and resizes from one into the other,
// may be resized for `now`: sizes that stayed must stay, sizes that changed together must agree,
// and 0 and 1 are left alone.
bool covers(const std::vector<ArraySpec>& base, const std::vector<ArraySpec>& tried,
            const std::vector<ArraySpec>& now);

std::vector<ArraySpec> specs_of(const Arrays& arrays);

}  // namespace tarn
