// An operation of one's own: a kernel for the CPU, its derivative, and both in use.
#include <cmath>
#include <iostream>

#include <tarn/tarn.h>

using namespace tarn;

// log(1 + e^x), computed so that a large x does not overflow.
void softplus_kernel(const KernelCall& call) {
  const auto* x = call.in[0].as<const float>();
  auto* y = call.out.as<float>();
  int64_t n = call.out.size();
  // This worker's share.
  for (int64_t i = n * call.worker / call.workers; i < n * (call.worker + 1) / call.workers; ++i)
    y[i] = std::fmax(x[i], 0.f) + std::log1p(std::exp(-std::fabs(x[i])));
}

CustomOpFunction define_softplus() {
  CustomOp op;
  op.name = "softplus";
  op.infer = [](const std::vector<array>& in) {
    if (in[0].dtype() != float32) throw ValueError("[softplus] x must be float32.");
    return ArraySpec{in[0].shape(), float32};
  };
  op.cpu = softplus_kernel;
  op.parallel = true;
  op.vjp = [](const std::vector<array>& in, const array& cotangent, const array&) {
    return std::vector<array>{cotangent * sigmoid(in[0])};
  };
  op.vmap = [op](const std::vector<array>& in, const std::vector<int>& axes) {
    static const CustomOpFunction on_batches = custom_op(op);  // it takes any shape
    return std::pair(on_batches(in), axes[0]);
  };
  return custom_op(op);
}

int main() {
  CustomOpFunction softplus = define_softplus();
  array x({-2.f, 0.f, 1.f, 100.f});
  auto total = [&](const array& v) { return sum(softplus(v)); };
  std::cout << softplus(x) << "\n"
            << grad(total)(x) << "\n"
            << vmap([&](const array& v) { return softplus(v); })(x) << "\n";
}

// Output:
//   array([0.126928, 0.693147, 1.31326, 100], dtype=float32)
//   array([0.119203, 0.5, 0.731059, 1], dtype=float32)
//   array([0.126928, 0.693147, 1.31326, 100], dtype=float32)
