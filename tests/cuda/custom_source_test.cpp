// The sources of programs' own kernels, without a card: what CUDA's compiler says of them.
#include <gtest/gtest.h>

#include "cuda/nvrtc.h"
#include "ops/cuda_kernel.h"
#include "tarn/dtype.h"

namespace tarn::cuda {
namespace {

constexpr int compiled_for = 90;

ops::CudaKernelParams told(std::string source, std::string header = "", Dtype out = float32) {
  ops::CudaKernelText text;
  text.name = "halve", text.inputs = {"x"}, text.outputs = {"y"};
  text.source = std::move(source), text.header = std::move(header);
  ops::CudaKernelParams p;
  p.text = std::make_shared<ops::CudaKernelText>(std::move(text));
  p.dtypes = {static_cast<int>(out.val)};
  return p;
}
Compilation compiled(const ops::CudaKernelParams& p, Dtype in) {
  return compile_source(ops::cuda_kernel_source(p, {&in, 1}), compiled_for);
}

class CustomSource : public testing::Test {
  void SetUp() override {
    if (!has_compiler()) GTEST_SKIP() << "libnvrtc is not here";
  }
};

TEST_F(CustomSource, ComputesInEveryDtype) {
  const char* source = "int i = threadIdx.x; y[i] = x[i] * x[i] - x[i];";
  for (Dtype t : {uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, float32,
                  float64, bfloat16, complex64}) {
    if (t == complex64) source = "int i = threadIdx.x; y[i] = complex64_t{x[i].imag, x[i].real};";
    Compilation made = compiled(told(source, "", t), t);
    EXPECT_FALSE(made.binary.empty()) << name_of(t) << ":\n" << made.log;
  }
}

TEST_F(CustomSource, HasShapesStridesAndConstants) {
  ops::CudaKernelParams p = told(
      "extern __shared__ T part[];\n"
      "part[threadIdx.x] = x[x_shape[0] * x_strides[0] + x_ndim];\n"
      "y[threadIdx.x] = twice(part[threadIdx.x]) + T(N);",
      "__device__ float twice(float x) { return 2 * x; }");
  p.constants = "using T = float16_t; constexpr int N = 3; ";
  Compilation made = compiled(p, bfloat16);
  EXPECT_FALSE(made.binary.empty()) << made.log;
}

// By the lines of what the program wrote.
TEST_F(CustomSource, ErrorsNameTheLineOfTheirSource) {
  Compilation made = compiled(told("int i = threadIdx.x;\n\ny[i] = x[j];"), float32);
  EXPECT_TRUE(made.binary.empty());
  EXPECT_NE(made.log.find("halve(3): error"), std::string::npos) << made.log;
  EXPECT_NE(made.log.find("y[i] = x[j];"), std::string::npos) << made.log;
  made = compiled(told("y[0] = x[0];", "// a comment\nint twice(;"), float32);
  EXPECT_NE(made.log.find("header of halve(2): error"), std::string::npos) << made.log;
}

}  // namespace
}  // namespace tarn::cuda
