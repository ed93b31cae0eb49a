// Programs' own CUDA kernels on a card.
#include "tarn/cuda_kernel.h"

#include <gtest/gtest.h>

#include <cmath>

#include "error_of.h"
#include "runtime/second_memory.h"
#include "tarn/info.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::error_of;

class CudaKernels : public tarn_test::OnDevice {
  void SetUp() override {
    OnDevice::SetUp();
    if (!is_card()) GTEST_SKIP() << "the stand-in compiles no CUDA";
  }
};

constexpr const char* each_element =
    "int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
    "if (i < N) y[i] = T(scale(x[i]));";
constexpr const char* scale = "__device__ float scale(float x) { return 3 * x + 1; }";

array scaled(const array& x, StreamOrDevice s = Device::gpu, bool rows = true) {
  static const auto copied = fast::cuda_kernel("scaled", {"x"}, {"y"}, each_element, scale);
  static const auto as_it_lies =
      fast::cuda_kernel("scaled", {"x"}, {"y"}, each_element, scale, false);
  auto n = static_cast<int>(x.size());
  return (rows ? copied : as_it_lies)({x}, {x.shape()}, {x.dtype()}, {n, 1, 1}, {128, 1, 1},
                                      {{"T", x.dtype()}, {"N", n}}, {}, false, s)[0];
}
array by_ops(const array& x) {
  return astype(add(multiply(astype(x, float32), array(3.0f)), array(1.0f)), x.dtype());
}

TEST_F(CudaKernels, ComputeInEveryTypeBetweenOtherSteps) {
  for (Dtype t : {float32, float16, bfloat16, int32, uint8, int64}) {
    array x = reshape(astype(arange(1000), t), {40, 25}) % array(60, t);
    x.eval();
    StreamContext scope{Device::gpu};
    array y = scaled(transpose(x) + array(1, t)) * array(2, t);
    array want = by_ops(transpose(x) + array(1, t)) * array(2, t);
    EXPECT_TRUE(array_equal(y, want).item<bool>()) << name_of(t);
    EXPECT_NE(explain(scaled(x)).find("on the device"), std::string::npos);
  }
}

TEST_F(CudaKernels, AreToldHowInputsLie) {
  const auto kernel = fast::cuda_kernel("lies", {"x"}, {"y"},
                                        "int r = threadIdx.x, c = threadIdx.y;\n"
                                        "if (x_ndim == 2)\n"
                                        "  y[r * x_shape[1] + c] =\n"
                                        "      x[r * x_strides[0] + c * x_strides[1]];",
                                        "", false);
  array x = transpose(reshape(arange(12.0), {3, 4}));
  x.eval();
  array y = kernel({x}, {{4, 3}}, {float32}, {4, 3, 1}, {4, 3, 1}, {}, {}, false, Device::gpu)[0];
  EXPECT_TRUE(array_equal(y, x).item<bool>());
}

TEST_F(CudaKernels, HaveSeveralResultsThatBeginAsANumber) {
  const auto kernel = fast::cuda_kernel("parts", {"x"}, {"sum", "sign", "large"},
                                        "extern __shared__ float part[];\n"
                                        "float v = x[threadIdx.x];\n"
                                        "part[threadIdx.x] = v;\n"
                                        "__syncthreads();\n"
                                        "atomicAdd(sum, part[threadIdx.x ^ 1]);\n"
                                        "sign[threadIdx.x] = v < 0 ? -1 : 1;\n"
                                        "if (v > 2) large[threadIdx.x] = v;",
                                        "", true, 4 * 64);
  array x = arange(-32.0, 32.0);
  auto call = [&](Dtype sign) {
    return kernel({x}, {{}, {64}, {8, 8}}, {float32, sign, float32}, {64, 1, 1}, {64, 1, 1}, {},
                  1.0f, false, Device::gpu);
  };
  for (Dtype t : {float32, int8}) {
    auto y = call(t);
    EXPECT_EQ(y[0].item<float>(), -31.0f);
    EXPECT_TRUE(array_equal(y[1], astype(where(less(x, array(0.0f)), array(-1), array(1)), t))
                    .item<bool>());
    array large = where(greater(x, array(2.0f)), x, array(1.0f));
    EXPECT_TRUE(array_equal(y[2], reshape(large, {8, 8})).item<bool>());
  }
}

TEST_F(CudaKernels, GoThroughCompileAndReplays) {
  auto f = compile([](const std::vector<array>& in) {
    return std::vector<array>{scaled(exp(scaled(in[0])) + in[0])};
  });
  StreamContext scope{Device::gpu};
  for (int i = 0; i < 8; ++i) {
    array x = arange(100.0) * array(0.001f * static_cast<float>(i + 1));
    array want = by_ops(exp(by_ops(x)) + x);
    EXPECT_TRUE(allclose(f({x})[0], want).item<bool>()) << i;
  }
}

TEST_F(CudaKernels, OfACustomOpHaveItsDerivativesAndBatches) {
  auto op = custom_op({.name = "scaled",
                       .infer =
                           [](const auto& in) {
                             return ArraySpec{in[0].shape(), float32};
                           },
                       .cpu = [](const KernelCall&) { ADD_FAILURE() << "on the CPU"; },
                       .cuda = [](const auto& in) { return scaled(in[0], {}); },
                       .vjp = [](const auto&, const array& g,
                                 const array&) { return std::vector<array>{g * array(3.0f)}; }});
  StreamContext scope{Device::gpu};
  array x = reshape(arange(12.0), {3, 4});
  EXPECT_TRUE(array_equal(op(x), by_ops(x)).item<bool>());
  EXPECT_NE(explain(op(x)).find("on the device"), std::string::npos);
  array g = grad([&](const array& v) { return sum(op(v)); })(x);
  EXPECT_TRUE(array_equal(g, full({3, 4}, 3.0f)).item<bool>());
  EXPECT_TRUE(array_equal(vmap([&](const array& v) { return op(v); })(x), by_ops(x)).item<bool>());
}

TEST_F(CudaKernels, HaveNoDerivativeOrBatchesOfTheirOwn) {
  array x = arange(4.0);
  EXPECT_EQ(error_of([&] { grad([](const array& v) { return sum(scaled(v)); })(x).eval(); }),
            "[cuda_kernel] scaled has no derivative: call it from a custom_op with a vjp, or a "
            "custom_function.");
  EXPECT_EQ(error_of([&] {
              vmap([](const array& v) { return scaled(v); })(reshape(x, {2, 2})).eval();
            }),
            "[cuda_kernel] scaled has no batches: call it from a custom_op, or with the batch as "
            "an axis.");
}

// The evaluation fails; what was there stays usable.
TEST_F(CudaKernels, ThatDoNotCompileShowTheLine) {
  const auto kernel = fast::cuda_kernel("mistaken", {"x"}, {"y"}, "int i = 0;\n\ny[i] = x[j];");
  array x = arange(4.0);
  array y = kernel({x}, {{4}}, {float32}, {4, 1, 1}, {4, 1, 1}, {}, {}, false, Device::gpu)[0];
  std::string said = error_of<ValueError>([&] { y.eval(); });
  EXPECT_NE(said.find("[cuda_kernel] mistaken does not compile:\nmistaken(3): error: identifier "
                      "\"j\" is undefined"),
            std::string::npos)
      << said;
  EXPECT_EQ(sum(scaled(x)).item<float>(), 22.0f);
}

TEST_F(CudaKernels, ThatCannotBeLaunchedAreNamed) {
  const auto kernel = fast::cuda_kernel("wide", {"x"}, {"y"}, "y[0] = x[0];", "", true, 1 << 20);
  array x = arange(4.0);
  array y = kernel({x}, {{4}}, {float32}, {4, 1, 1}, {4, 1, 1}, {}, {}, false, Device::gpu)[0];
  EXPECT_EQ(error_of<DeviceError>([&] { y.eval(); }),
            "[cuda_kernel] wide wants 1048576 bytes of shared memory for a block: invalid "
            "argument.");
  EXPECT_EQ(sum(scaled(x)).item<float>(), 22.0f);
}

}  // namespace
}  // namespace tarn
