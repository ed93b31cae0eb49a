// The seam between the runtime and a backend: what a step is, and the table of kernels for it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "graph/op.h"

namespace tarn {

class DeviceMemory;
struct Value;

// One array as a kernel sees it. While a plan is made `data` is null.
struct Operand {
  void* data = nullptr;
  Dtype dtype{};
  Shape shape{};
  Strides strides{};  // in elements
  bool contiguous = true;

  int64_t size() const {
    int64_t n = 1;
    for (auto d : shape) n *= d;
    return n;
  }
  // Whether all elements are one number in memory.
  bool one_number() const {
    for (size_t i = 0; i < shape.size(); ++i)
      if (shape[i] != 1 && strides[i] != 0) return false;
    return true;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// One elementwise op of a fused step. An operand is an earlier instruction (>= 0) or ~i for input i
// of the step.
struct FusedOp {
  const Op* op = nullptr;
  int in[3] = {0, 0, 0};
  int arity = 0;
  Dtype from{}, to{};  // what it computes in, and its result
};

struct Step {
  const Op* op = nullptr;  // null for a fused elementwise step
  const Params* params = nullptr;
  std::span<Operand> in{};
  Operand out{};
  void* scratch = nullptr;
  const void* program = nullptr;    // fused steps: what Backend::compile made
  const int64_t* number = nullptr;  // on a device: where what Kernel::number gave is
  // On a device: a bit for each input that is complete when the launch in front of this one begins,
  // since no other step of the plan writes it.
  unsigned from_outside = 0;

  bool are_from_outside(unsigned inputs) const { return (from_outside & inputs) == inputs; }
};

// A kernel's share of a step: worker `worker` of `workers`. No barrier and no thread inside; what
// it writes must not depend on the number of workers. May throw a tarn::Error.
using KernelFn = void (*)(const Step&, int worker, int workers);

enum class Accepts : uint8_t {
  any,         // whatever strides
  rows,        // last axis contiguous
  contiguous,  // row-contiguous
};

// A number that a device's kernel reads like that of Kernel::number, behind it: what the run-time
// parameters of another op of the graph come to, whose work the kernel does, too.
struct ItemNumber {
  int item = -1;
  int64_t (*of)(const Step&, const Params&) = nullptr;
};

struct Packing;
inline constexpr int most_joined = 4;  // steps that one launch does

struct Kernel {
  KernelFn run = nullptr;
  bool (*fits)(const Step&) = nullptr;  // null: always
  Accepts accepts = Accepts::contiguous;
  size_t (*scratch)(const Step&, int workers) = nullptr;  // bytes
  const Packing* packing = nullptr;
  bool checks = false;  // a device's: may meet an error in the data, see Backend::check
  // A device's: what the run-time parameters come to. The kernel reads it at Step::number when it
  // runs, and nothing else of them, so that a recorded launch stays right when they change.
  int64_t (*number)(const Step&) = nullptr;
  // A device's: whether one launch, of run_joined, can do both steps when neither needs the other.
  bool (*joins)(const Step& first, const Step& other) = nullptr;
  void (*run_joined)(std::span<const Step>) = nullptr;
  unsigned writes = 0;  // a device's: a bit for each input that it changes, of which views remain
  unsigned shares = 0;  // a bit for each input that joined steps have in common
  bool updates_first = false;  // writes into its first input's memory, which becomes the output
  // For such a kernel: running it twice does the same as once, so that after a failed evaluation
  // an array whose memory was taken over can still be used. Null: never.
  bool (*repeatable)(const Step&) = nullptr;
  // Nanoseconds of one core for the whole step, roughly; null: one an output element.
  double (*cost)(const Step&) = nullptr;
  std::string_view name{};
  // Instead of `run`: the same value in ops that this backend prefers.
  ExpandRule expand = nullptr;
};

// What a kernel wants to have made of its inputs before it runs: activations rounded and packed,
// the partial sums of pieces. It is a value of its own: bytes, computed from the same inputs, that
// the kernel finds in its inputs' last place. Kernels that want the same of the same first input
// share it.
struct Packing {
  Kernel kernel{};
  size_t (*bytes)(const Step&) = nullptr;  // of the kernel that wants it
  uint64_t (*key)(const Step&) = nullptr;  // equal keys: the same packing
};

class KernelTable {
 public:
  // The first row of an op whose predicate holds wins.
  void add(const Op& op, Kernel k) { rows_[&op].push_back(k); }
  const Kernel* find(const Step& s) const {
    auto it = rows_.find(s.op->kernels_of ? s.op->kernels_of : s.op);
    if (it == rows_.end()) return nullptr;
    for (const auto& k : it->second)
      if (!k.fits || k.fits(s)) return &k;
    return nullptr;
  }
  std::span<const Kernel> rows(const Op& op) const {
    auto it = rows_.find(&op);
    return it == rows_.end() ? std::span<const Kernel>{} : std::span<const Kernel>(it->second);
  }

 private:
  std::unordered_map<const Op*, std::vector<Kernel>> rows_;
};

// Work that was given to a device once, to be given to it again at less cost.
struct Recording {
  virtual ~Recording() = default;
  // Puts all of it into the queue.
  virtual void run() = 0;
  // From now on the steps do what launch(step) puts into the queue now. False: that is work of
  // another kind, and the recording is of no use any more.
  virtual bool replace(std::span<const size_t> steps,
                       const std::function<void(size_t)>& launch) = 0;
};

struct Backend {
  KernelTable table{};
  Kernel fused{};
  // Makes of a chain what `fused` runs.
  std::shared_ptr<const void> (*compile)(std::span<const FusedOp> chain,
                                         std::span<const Operand> in) = nullptr;
  // A device with memory of its own: kernels are given addresses there, put their work into its
  // queue and return. `compile` may then give null: the chain runs on the CPU.
  DeviceMemory* memory = nullptr;
  // Records what launch(0) to launch(count - 1) put into the queue, without running it. Null when
  // it cannot.
  std::unique_ptr<Recording> (*record)(size_t count,
                                       const std::function<void(size_t)>& launch) = nullptr;
  // Makes one of several values of a plan where the device has a kernel for them together.
  void (*fold)(std::vector<Value>& values) = nullptr;
  // Arithmetic costs it nothing beside memory: a value that several steps read is computed in each
  // of them where they then read no more than storing it would take.
  bool computes_again = false;
  // Another number when the same steps would be launched otherwise, since a kernel was compiled.
  uint64_t (*kernels_made)() = nullptr;
  // Waits until the queue is empty and throws what its kernels met.
  void (*check)() = nullptr;
  std::unordered_map<std::string, std::variant<std::string, size_t>> (*info)() = nullptr;
};

// Each backend defines one of these; a missing device has none.
const Backend& cpu_backend();
const Backend* cuda_backend();

// The device's backend that this library was built with; null when there is no such device here.
const Backend* gpu_backend();
// For tests: from now on `b`, which outlives the process's arrays, is the GPU; null ends that.
void stand_in_for_gpu(const Backend* b);

}  // namespace tarn
