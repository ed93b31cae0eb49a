#include "ops/cuda_kernel.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdio>

#include "base/require.h"
#include "graph/node.h"
#include "tarn/cuda_kernel.h"
#include "tarn/ops.h"

namespace tarn {

namespace ops {
namespace {

[[noreturn]] void has_no(const Params& params, const char* what, const char* instead) {
  fail<ValueError>("[cuda_kernel] {} has no {}: {}.", params.as<CudaKernelParams>().text->name,
                   what, instead);
}
std::vector<Maybe> no_vjp(const Call& call, std::span<const Maybe>) {
  has_no(call.params, "derivative", "call it from a custom_op with a vjp, or a custom_function");
}
Arrays no_vmap(const Params& params, std::span<const array>, const Batch&) {
  has_no(params, "batches", "call it from a custom_op, or with the batch as an axis");
}

// In the order of Dtype::Val.
constexpr const char* type_words[] = {"bool",
                                      "unsigned char",
                                      "unsigned short",
                                      "unsigned int",
                                      "unsigned long long",
                                      "signed char",
                                      "short",
                                      "int",
                                      "long long",
                                      "float16_t",
                                      "float",
                                      "double",
                                      "bfloat16_t",
                                      "complex64_t"};
const char* type_word(int dtype) { return type_words[dtype]; }

}  // namespace

const Op cuda_kernel_op{.name = "cuda_kernel",
                        .kind = Kind::fused,
                        .doc = "A program's own kernel for a GPU.",
                        .infer =
                            [](const Params& params, std::span<const array>) {
                              const auto& p = params.as<CudaKernelParams>();
                              return ArraySpec{{p.size}, p.dtype};
                            },
                        .vjp = no_vjp,
                        .jvp = no_vjp,
                        .vmap = no_vmap,
                        .resize = [](const Shape&, const Shape&, const Shape&,
                                     const SizeChange&) -> std::optional<Params> { return {}; },
                        .params = &Params::type<CudaKernelParams>};

std::string cuda_kernel_symbol(const CudaKernelText& text) { return "custom_kernel_" + text.name; }

bool cuda_kernel_mentions(const CudaKernelText& text, size_t input, const char* what) {
  return text.source.find(text.inputs[input] + what) != std::string::npos;
}

// Errors are to name lines of what the program wrote, so each part counts from 1.
std::string cuda_kernel_source(const CudaKernelParams& p, std::span<const Dtype> inputs) {
  const CudaKernelText& text = *p.text;
  std::string parameters;
  auto add = [&](const std::string& parameter) {
    parameters += (parameters.empty() ? "" : ", ") + parameter;
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = text.inputs[i];
    add(fmt::format("const {}* {}", type_word(static_cast<int>(inputs[i].val)), name));
    for (const char* what : {"_shape", "_strides"})
      if (cuda_kernel_mentions(text, i, what))
        add(fmt::format("const __grid_constant__ KernelSizes {}{}", name, what));
    if (cuda_kernel_mentions(text, i, "_ndim")) add(fmt::format("const int {}_ndim", name));
  }
  for (size_t i = 0; i < text.outputs.size(); ++i)
    add(fmt::format("{}* {}", type_word(p.dtypes[i]), text.outputs[i]));
  return fmt::format(
      "#include \"cuda/custom_words.h\"\n"
      "#line 1 \"header of {0}\"\n{1}\n"
      "#line 1 \"parameters of {0}\"\n"
      "extern \"C\" __global__ void {2}({3}) {{\n{4}\n"
      "#line 1 \"{0}\"\n{5}\n}}\n",
      text.name, text.header, cuda_kernel_symbol(text), parameters, p.constants, text.source);
}

}  // namespace ops

namespace fast {
namespace {

using ops::CudaKernelParams;
using ops::CudaKernelText;
using Sizes3 = std::tuple<int, int, int>;
using TemplateArgs = std::vector<std::pair<std::string, TemplateArg>>;

bool is_name(const std::string& text) {
  auto inside = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) == 0 &&
         std::all_of(text.begin(), text.end(), inside);
}
void check_name(const CudaKernelText& text, const std::string& name) {
  require(is_name(name), "[cuda_kernel] \"{}\" in {} is no name in C++.", name,
          is_name(text.name) ? text.name : "a kernel");
}

std::string constants_of(const CudaKernelText& text, const TemplateArgs& args) {
  std::string all;
  for (const auto& [name, arg] : args) {
    check_name(text, name);
    if (const int* number = std::get_if<int>(&arg))
      all += fmt::format("constexpr int {} = {}; ", name, *number);
    else if (const bool* truth = std::get_if<bool>(&arg))
      all += fmt::format("constexpr bool {} = {}; ", name, *truth);
    else
      all += fmt::format("using {} = {}; ", name,
                         ops::type_word(static_cast<int>(std::get<Dtype>(arg).val)));
  }
  return all;
}

void check_threads(const CudaKernelText& text, const Sizes3& grid, const Sizes3& block) {
  constexpr int64_t most = 1024;  // of a block on any card
  auto [x, y, z] = block;
  int smallest = std::min({x, y, z, std::get<0>(grid), std::get<1>(grid), std::get<2>(grid)});
  require(smallest > 0, "[cuda_kernel] {}: grid and threadgroup are numbers of threads above 0.",
          text.name);
  require(int64_t{x} * y * z <= most,
          "[cuda_kernel] {}: a threadgroup of {} x {} x {} threads; {} is the most.", text.name, x,
          y, z, most);
}

void check_counts(const CudaKernelText& text, size_t inputs, size_t shapes, size_t dtypes) {
  auto fits = [&](const char* what, size_t given, size_t named) {
    require(given == named, "[cuda_kernel] {} is given {} {} for {} names.", text.name, given, what,
            named);
  };
  fits("inputs", inputs, text.inputs.size());
  fits("output_shapes", shapes, text.outputs.size());
  fits("output_dtypes", dtypes, text.outputs.size());
}

// Results of one dtype are views of an array of that; others are cut out of bytes.
CudaKernelParams laid_out(std::shared_ptr<const CudaKernelText> text,
                          const std::vector<Shape>& shapes, const std::vector<Dtype>& dtypes) {
  constexpr int64_t line = 256;  // bytes, as memory from cudaMalloc begins
  CudaKernelParams p;
  int64_t end = 0;
  bool alike = std::all_of(dtypes.begin(), dtypes.end(), [&](Dtype t) { return t == dtypes[0]; });
  p.dtype = alike ? dtypes[0] : uint8;
  for (size_t i = 0; i < shapes.size(); ++i) {
    int64_t n = 1;
    for (auto d : shapes[i]) {
      require<ShapeError>(d >= 0, "[cuda_kernel] {}: shape {} has a negative size.", text->name,
                          text_of(shapes[i]));
      n *= d;
    }
    int64_t begin = (end + line - 1) / line * line;
    p.begins.push_back(begin), p.sizes.push_back(n);
    p.dtypes.push_back(static_cast<int>(dtypes[i].val));
    end = begin + n * dtypes[i].size;
  }
  p.size = end / p.dtype.size;
  p.text = std::move(text);
  return p;
}

array cut_out(const array& all, const CudaKernelParams& p, size_t i, const Shape& shape,
              Dtype dtype, StreamOrDevice s) {
  int64_t each = p.dtype == dtype ? 1 : dtype.size, begin = p.begins[i] / p.dtype.size;
  array one = slice(all, {begin}, {begin + p.sizes[i] * each}, s);
  return reshape(each == 1 && p.dtype == dtype ? one : view(one, dtype, s), shape, s);
}

std::vector<array> called(std::shared_ptr<const CudaKernelText> text,
                          const std::vector<array>& inputs, const std::vector<Shape>& shapes,
                          const std::vector<Dtype>& dtypes, const Sizes3& grid, const Sizes3& block,
                          const TemplateArgs& args, std::optional<float> fill, bool verbose,
                          StreamOrDevice s) {
  check_counts(*text, inputs.size(), shapes.size(), dtypes.size());
  check_threads(*text, grid, block);
  require<DeviceError>(is_available(Device::gpu),
                       "[cuda_kernel] {} runs on an NVIDIA GPU, and there is none here that this "
                       "build uses: give a custom_op a kernel for the CPU as well.",
                       text->name);
  require(to_stream(s).device == Device::gpu,
          "[cuda_kernel] {} runs on the GPU: call it with Device::gpu as its stream.", text->name);
  CudaKernelParams p = laid_out(text, shapes, dtypes);
  p.constants = constants_of(*text, args);
  for (const Sizes3& of : {grid, block})
    for (int n : {std::get<0>(of), std::get<1>(of), std::get<2>(of)}) p.threads.push_back(n);
  p.filled = fill.has_value(), p.fill = fill.value_or(0);
  if (verbose) {
    std::vector<Dtype> types;
    for (const auto& x : inputs) types.push_back(x.dtype());
    std::puts(ops::cuda_kernel_source(p, types).c_str());
  }
  array all = record(ops::cuda_kernel_op, p, inputs, s);
  std::vector<array> results;
  for (size_t i = 0; i < shapes.size(); ++i)
    results.push_back(cut_out(all, p, i, shapes[i], dtypes[i], s));
  return results;
}

}  // namespace

CustomKernelFunction cuda_kernel(const std::string& name,
                                 const std::vector<std::string>& input_names,
                                 const std::vector<std::string>& output_names,
                                 const std::string& source, const std::string& header,
                                 bool ensure_row_contiguous, int shared_memory) {
  static std::atomic<uint64_t> made{0};
  auto text = std::make_shared<CudaKernelText>(
      CudaKernelText{++made, name, input_names, output_names, source, header, ensure_row_contiguous,
                     shared_memory});
  check_name(*text, name);
  require(!output_names.empty(), "[cuda_kernel] {} has no output: name one.", name);
  require(shared_memory >= 0, "[cuda_kernel] {}: shared_memory is {} bytes.", name, shared_memory);
  for (const auto* names : {&input_names, &output_names})
    for (const auto& one : *names) check_name(*text, one);
  return
      [text](const std::vector<array>& inputs, const std::vector<Shape>& shapes,
             const std::vector<Dtype>& dtypes, Sizes3 grid, Sizes3 block, const TemplateArgs& args,
             std::optional<float> fill, bool verbose, StreamOrDevice s) {
        return called(text, inputs, shapes, dtypes, grid, block, args, fill, verbose, s);
      };
}

}  // namespace fast
}  // namespace tarn
