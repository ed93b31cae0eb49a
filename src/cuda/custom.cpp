// Programs' own kernels: compiled when they first run, and kept for the next program.
#include "cuda/custom.h"

#include <array>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "base/hash.h"
#include "base/require.h"
#include "cuda/compiled.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/nvrtc.h"
#include "cuda/table.h"
#include "graph/custom.h"
#include "ops/cuda_kernel.h"

namespace tarn::cuda {
namespace {

using ops::CudaKernelParams;
using ops::CudaKernelText;

const CudaKernelParams& params_of(const Step& s) { return s.params->as<CudaKernelParams>(); }

const void* compiled(const CudaKernelParams& p, std::span<const Dtype> inputs) {
  const CudaKernelText& text = *p.text;
  require<DeviceError>(has_compiler(),
                       "[cuda_kernel] {} is compiled by NVRTC, and libnvrtc is not found: install "
                       "the CUDA toolkit, or put the library on LD_LIBRARY_PATH.",
                       text.name);
  MadeKernel made =
      make_kernel(ops::cuda_kernel_source(p, inputs), ops::cuda_kernel_symbol(text).c_str());
  require(made.kernel != nullptr, "[cuda_kernel] {} does not compile:\n{}", text.name, made.log);
  cudaError_t result = cudaFuncSetAttribute(
      made.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, text.shared_memory);
  if (result == cudaSuccess) return made.kernel;
  cudaGetLastError();  // else the next launch would be taken for it
  fail<DeviceError>("[cuda_kernel] {} wants {} bytes of shared memory for a block: {}.", text.name,
                    text.shared_memory, cudaGetErrorString(result));
}

// One for each definition, types and template arguments.
const void* kernel_of(const Step& s) {
  static std::mutex mutex;
  static auto* const known = new std::unordered_map<Hash, const void*, HashOfHash>;
  const CudaKernelParams& p = params_of(s);
  Hash h;
  h.add(p.text->id), h.add(std::string_view(p.constants));
  for (int dtype : p.dtypes) h.add(static_cast<uint64_t>(dtype));
  for (const auto& in : s.in) h.add(static_cast<uint64_t>(in.dtype.val));
  std::lock_guard lock(mutex);
  const void*& kernel = (*known)[h];
  if (kernel) return kernel;
  std::vector<Dtype> inputs;
  for (const auto& in : s.in) inputs.push_back(in.dtype);
  return kernel = compiled(p, inputs);
}

// The kernel's parameters in the order of its source. Deques, so that addresses last.
struct Arguments {
  std::deque<void*> addresses{};
  std::deque<std::array<int64_t, most_axes>> sizes{};
  std::deque<int> axes{};
  std::vector<void*> all{};

  void add_address(const void* p) {
    all.push_back(&addresses.emplace_back(const_cast<void*>(p)));  // the kernel's is to const
  }
  template <class Sizes>
  void add_sizes(const Sizes& of) {
    std::array<int64_t, most_axes> some{};
    std::copy(of.begin(), of.end(), some.begin());
    all.push_back(sizes.emplace_back(some).data());
  }
  void add_input(const CudaKernelText& text, size_t i, const Operand& in) {
    add_address(in.data);
    if (cuda_kernel_mentions(text, i, "_shape")) add_sizes(in.shape);
    if (cuda_kernel_mentions(text, i, "_strides")) add_sizes(in.strides);
    if (cuda_kernel_mentions(text, i, "_ndim"))
      all.push_back(&axes.emplace_back(static_cast<int>(in.shape.size())));
  }
};

unsigned blocks(int64_t threads, int64_t each) {
  return static_cast<unsigned>((threads + each - 1) / each);
}

void run_kernel(const Step& s, int, int) {
  const CudaKernelParams& p = params_of(s);
  if (s.out.size() == 0) return;
  const void* kernel = kernel_of(s);
  Arguments a;
  for (size_t i = 0; i < s.in.size(); ++i) a.add_input(*p.text, i, s.in[i]);
  for (size_t i = 0; i < p.begins.size(); ++i) {
    std::byte* out = s.out.as<std::byte>() + p.begins[i];
    if (p.filled) launch_fill(out, p.dtypes[i], p.sizes[i], p.fill, queue());
    a.add_address(out);
  }
  const auto& n = p.threads;
  dim3 grid(blocks(n[0], n[3]), blocks(n[1], n[4]), blocks(n[2], n[5]));
  dim3 block(static_cast<unsigned>(n[3]), static_cast<unsigned>(n[4]), static_cast<unsigned>(n[5]));
  cudaError_t result = cudaLaunchKernel(kernel, grid, block, a.all.data(),
                                        static_cast<size_t>(p.text->shared_memory), queue());
  if (result == cudaSuccess) return;
  cudaGetLastError();  // else the next launch would be taken for it
  fail<DeviceError>("[cuda_kernel] {} cannot be launched: {}.", p.text->name,
                    cudaGetErrorString(result));
}

bool has_few_axes(const Step& s) {
  for (const auto& in : s.in)
    if (in.shape.size() > most_axes) return false;
  return true;
}
bool wants_rows(const Step& s) { return has_few_axes(s) && params_of(s).text->wants_rows; }

bool has_cuda(const Step& s) {
  return s.params->as<CustomOpParams>().definition->told.cuda != nullptr;
}

}  // namespace

void add_custom(KernelTable& t) {
  t.add(ops::cuda_kernel_op, {.run = run_kernel, .fits = wants_rows, .name = "compiled"});
  t.add(ops::cuda_kernel_op,
        {.run = run_kernel, .fits = has_few_axes, .accepts = Accepts::any, .name = "compiled"});
  t.add(custom_op_row, {.fits = has_cuda, .name = "its own", .expand = expand_with_cuda});
}

}  // namespace tarn::cuda
