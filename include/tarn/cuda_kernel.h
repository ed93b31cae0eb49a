// A kernel of one's own for NVIDIA GPUs: CUDA C++ that is compiled when it is first used.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "tarn/array.h"

namespace tarn::fast {

using TemplateArg = std::variant<int, bool, Dtype>;

// (inputs, output_shapes, output_dtypes, grid, threadgroup, template_args, init_value, verbose, s)
// A block has `threadgroup` threads (x, y, z), and there are as many blocks as `grid` threads need.
// Template arguments are constants and types in the source. With init_value results begin as that
// number, else uninitialised. verbose prints what is compiled.
using CustomKernelFunction = std::function<std::vector<array>(
    const std::vector<array>&, const std::vector<Shape>&, const std::vector<Dtype>&,
    std::tuple<int, int, int>, std::tuple<int, int, int>,
    std::vector<std::pair<std::string, TemplateArg>>, std::optional<float>, bool, StreamOrDevice)>;

// `source` is the body of a kernel to which inputs and results are pointers of these names. Where
// it mentions NAME_shape, NAME_strides or NAME_ndim of an input, it has those, too; strides count
// elements. `header` stands in front of it. An input that is not row-contiguous is copied first
// unless ensure_row_contiguous is false. shared_memory is what a block has of it, in bytes, as
// `extern __shared__`.
// The source can use float16_t, bfloat16_t and complex64_t; its header can include CUDA's where the
// toolkit is installed. What it writes must be its results alone, and depend on its inputs alone:
// it may run more than once for one call, or not at all when nobody needs a result.
// Evaluation throws ValueError, with the compiler's words, for a source that does not compile. The
// result has no derivative and no batches; see CustomOp::cuda.
CustomKernelFunction cuda_kernel(const std::string& name,
                                 const std::vector<std::string>& input_names,
                                 const std::vector<std::string>& output_names,
                                 const std::string& source, const std::string& header = "",
                                 bool ensure_row_contiguous = true, int shared_memory = 0);

}  // namespace tarn::fast
