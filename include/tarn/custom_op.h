// An operation of one's own: what it means and a kernel, on the same footing as the catalogue's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// One array as a kernel sees it: row-contiguous.
struct KernelArray {
  void* data = nullptr;
  Dtype dtype{};
  Shape shape{};

  int64_t size() const {
    int64_t n = 1;
    for (auto d : shape) n *= d;
    return n;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

struct KernelCall {
  std::span<const KernelArray> in{};  // not to be written to
  KernelArray out{};                  // not initialised
  // A parallel kernel is called by each of `workers` threads and does its share; what it writes
  // must not depend on their number. Otherwise worker 0 of 1.
  int worker = 0, workers = 1;
};

// What custom_op is told. `name`, `infer` and one of `cpu` and `expand` are needed. All of them may
// be called from any thread. The value must depend on the inputs alone: a kernel may run more than
// once for one call, or not at all when nobody needs its result.
struct CustomOp {
  std::string name{};
  // Shape and dtype of the result. Throws for inputs that do not fit; that is the only check.
  std::function<ArraySpec(const std::vector<array>& in)> infer{};
  // Fills out. What it throws is thrown by eval, which may then be tried again.
  std::function<void(const KernelCall&)> cpu{};
  bool parallel = false;
  // The same value by a kernel of fast::cuda_kernel (or several, and array operations): what runs
  // on an NVIDIA GPU, in place of cpu and expand.
  std::function<array(const std::vector<array>& in)> cuda{};
  // The same value in array operations: used where a kernel or a rule below is missing.
  std::function<array(const std::vector<array>& in)> expand{};
  // The inputs' cotangents, one each, from the result's.
  std::function<std::vector<array>(const std::vector<array>& in, const array& cotangent,
                                   const array& out)>
      vjp{};
  // The result's tangent from those of the inputs `argnums`. Without it, what vjp says.
  std::function<array(const std::vector<array>& in, const std::vector<array>& tangents,
                      const std::vector<int>& argnums)>
      jvp{};
  // The result for a batch, and the axis where it has the batch. axes[i] is where input i has it,
  // or -1. Without it and without expand, the op is called once for each example.
  std::function<std::pair<array, int>(const std::vector<array>& in, const std::vector<int>& axes)>
      vmap{};
};

// What custom_op returns: records a call. Copies share one definition.
class CustomOpFunction {
 public:
  struct Definition;  // private to the library
  explicit CustomOpFunction(std::shared_ptr<const Definition> d) : definition_(std::move(d)) {}

  array operator()(const std::vector<array>& in, StreamOrDevice s = {}) const;
  template <class... Arrays>
  requires(sizeof...(Arrays) > 0 && (std::is_convertible_v<Arrays, array> && ...)) array operator()(
      Arrays&&... in) const {
    return (*this)(std::vector<array>{std::forward<Arrays>(in)...});
  }

 private:
  std::shared_ptr<const Definition> definition_;
};

// Define an operation once and keep it: plans are found again by the definition.
// Throws ValueError when something that is needed is missing.
CustomOpFunction custom_op(CustomOp op);

}  // namespace tarn
