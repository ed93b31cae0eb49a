// Kernels compiled while the program runs: asked for here, made by a thread in the background, kept
// on disk for the next program.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace tarn::cuda {

class CompiledKernel {
 public:
  explicit CompiledKernel(std::string source) : source_(std::move(source)) {}
  const std::string& source() const { return source_; }
  // Null while it is not compiled, and for ever where it cannot be.
  const void* ready() const { return kernel_.load(std::memory_order_acquire); }
  void is_ready(const void* kernel) { kernel_.store(kernel, std::memory_order_release); }
  // Counts a run over that many elements; true once, when it has become worth compiling.
  bool worth_compiling(int64_t elements);

 private:
  std::string source_;
  std::atomic<const void*> kernel_{nullptr};
  std::atomic<int64_t> work_{0};
};

// The one for that source, which defines a kernel `chain`.
std::shared_ptr<CompiledKernel> compiled_kernel(const std::string& source);
// The kernel, when it is there. Each call counts as a run, and after some the kernel is compiled;
// with TARN_CHAINS=compiled it is at once, and this waits; with TARN_CHAINS=interpreted never.
const void* kernel_for(const std::shared_ptr<CompiledKernel>& compiled, int64_t elements);

// The kernel `name` of a source, made now unless it was kept on disk.
struct MadeKernel {
  const void* kernel = nullptr;
  std::string log{};  // what the compiler says when there is none
};
MadeKernel make_kernel(const std::string& source, const char* name);

// From now on as with TARN_CHAINS=compiled, unless it is interpreted: ranks that compute the same
// must not depend on when a compiler is done, since the two may differ in last bits.
void compile_at_once();

// How many have been made in this program.
uint64_t kernels_made();

}  // namespace tarn::cuda
