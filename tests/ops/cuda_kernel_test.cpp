// Programs' own CUDA kernels, as far as no card is needed: what is wrong is said when it is told.
#include "tarn/cuda_kernel.h"

#include <gtest/gtest.h>

#include "error_of.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::error_of;

fast::CustomKernelFunction twice() {
  return fast::cuda_kernel("twice", {"x"}, {"y"}, "y[threadIdx.x] = 2 * x[threadIdx.x];");
}
std::vector<array> call(const fast::CustomKernelFunction& f, const std::vector<array>& in,
                        StreamOrDevice s, std::tuple<int, int, int> block = {2, 1, 1},
                        std::vector<Shape> shapes = {{2}}) {
  return f(in, shapes, {float32}, {2, 1, 1}, block, {}, {}, false, s);
}

TEST(CudaKernel, SaysWhatIsWrongWithItsDefinition) {
  EXPECT_EQ(error_of([] { fast::cuda_kernel("a b", {"x"}, {"y"}, ""); }),
            "[cuda_kernel] \"a b\" in a kernel is no name in C++.");
  EXPECT_EQ(error_of([] { fast::cuda_kernel("f", {"2x"}, {"y"}, ""); }),
            "[cuda_kernel] \"2x\" in f is no name in C++.");
  EXPECT_EQ(error_of([] { fast::cuda_kernel("f", {"x"}, {}, ""); }),
            "[cuda_kernel] f has no output: name one.");
  EXPECT_EQ(error_of([] { fast::cuda_kernel("f", {"x"}, {"y"}, "", "", true, -1); }),
            "[cuda_kernel] f: shared_memory is -1 bytes.");
}

TEST(CudaKernel, SaysWhatIsWrongWithACall) {
  array x({1.0f, 2.0f});
  EXPECT_EQ(error_of([&] {
              call(twice(), {x, x}, Device::gpu);
            }),
            "[cuda_kernel] twice is given 2 inputs for 1 names.");
  EXPECT_EQ(error_of([&] {
              call(twice(), {x}, Device::gpu, {2, 1, 1}, {});
            }),
            "[cuda_kernel] twice is given 0 output_shapes for 1 names.");
  EXPECT_EQ(error_of([&] {
              call(twice(), {x}, Device::gpu, {0, 1, 1});
            }),
            "[cuda_kernel] twice: grid and threadgroup are numbers of threads above 0.");
  EXPECT_EQ(error_of([&] {
              call(twice(), {x}, Device::gpu, {64, 32, 1});
            }),
            "[cuda_kernel] twice: a threadgroup of 64 x 32 x 1 threads; 1024 is the most.");
}

TEST(CudaKernel, NeedsAGpu) {
  array x({1.0f, 2.0f});
  std::string said = error_of([&] { call(twice(), {x}, Device::cpu); });
  if (is_available(Device::gpu))
    EXPECT_EQ(said, "[cuda_kernel] twice runs on the GPU: call it with Device::gpu as its stream.");
  else
    EXPECT_EQ(said,
              "[cuda_kernel] twice runs on an NVIDIA GPU, and there is none here that this build "
              "uses: give a custom_op a kernel for the CPU as well.");
}

// What a custom_op has for GPUs is left aside elsewhere.
TEST(CudaKernel, IsOneOfTheKernelsOfACustomOp) {
  auto op = custom_op({.name = "twice",
                       .infer =
                           [](const auto& in) {
                             return ArraySpec{in[0].shape(), float32};
                           },
                       .cpu =
                           [](const KernelCall& c) {
                             for (int64_t i = 0; i < c.out.size(); ++i)
                               c.out.as<float>()[i] = 2 * c.in[0].as<float>()[i];
                           },
                       .cuda = [](const auto& in) { return call(twice(), in, {})[0]; }});
  EXPECT_TRUE(array_equal(op(array({1.0f, 2.0f})), array({2.0f, 4.0f})).item<bool>());
}

}  // namespace
}  // namespace tarn
