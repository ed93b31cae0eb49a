// Derivatives of norms and losses: steps turned into calls of back.cu.
#include "cuda/back.h"

#include "cuda/attention.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/back.h"
#include "ops/compound.h"

namespace tarn::cuda {
namespace {

bool takes_norm(const Step& s) {
  for (const auto& in : s.in)
    if (in.dtype != float32) return false;
  return s.in[0].size() > 0 && size_at(s.in[0], 1) % 4 == 0;
}
void run_rms_norm_back(const Step& s, int, int) {
  NormBackCall c;
  c.x = s.in[0].as<const float>(), c.g = s.in[1].as<const float>(), c.y = s.out.as<float>();
  if (s.in.size() > 2) c.weight = s.in[2].as<const float>();
  c.cols = size_at(s.in[0], 1), c.rows = s.in[0].size() / c.cols;
  c.eps = s.params->as<ops::RmsNormBack::P>().eps;
  launch_rms_norm_back(c, queue());
  check(cudaGetLastError(), "a launch");
}

bool takes_logits(const Step& s) {
  bool floats = s.in[0].dtype == float32 && (s.in.size() < 3 || s.in[2].dtype == float32);
  return floats && s.in[0].size() > 0;
}
EntropyCall entropy_call(const Step& s) {
  EntropyCall c;
  c.x = s.in[0].as<const float>(), c.target = s.in[1].data, c.y = s.out.as<float>();
  c.classes = size_at(s.in[0], 1), c.rows = s.in[0].size() / c.classes;
  c.fault = fault_of(ops::op_of<ops::CrossEntropy>);
  c.axis = static_cast<int>(s.in[0].shape.size()) - 1;
  c.target_type = column(s.in[1].dtype);
  return c;
}
void run_cross_entropy(const Step& s, int, int) {
  launch_cross_entropy(entropy_call(s), queue());
  check(cudaGetLastError(), "a launch");
}
void run_cross_entropy_back(const Step& s, int, int) {
  EntropyCall c = entropy_call(s);
  c.g = s.in[2].as<const float>();
  launch_cross_entropy_back(c, queue());
  check(cudaGetLastError(), "a launch");
}

}  // namespace

void add_derivatives(KernelTable& t) {
  t.add(ops::op_of<ops::RmsNormBack>,
        {.run = run_rms_norm_back, .fits = takes_norm, .name = "rows"});
  auto entropy = [](KernelFn run) {
    Kernel k{.run = run, .fits = takes_logits, .name = "rows"};
    k.checks = true;
    return k;
  };
  t.add(ops::op_of<ops::CrossEntropy>, entropy(run_cross_entropy));
  t.add(ops::op_of<ops::CrossEntropyBack>, entropy(run_cross_entropy_back));
  add_attention_back(t);
}

}  // namespace tarn::cuda
