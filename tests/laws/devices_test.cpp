// What a device computes is what the CPU computes: every op of the catalogue, by the samples of the
// laws and within their tolerance. Ops without a kernel there go by expansion or through the CPU,
// and have to give the same.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "laws/compare.h"
#include "runtime/second_memory.h"
#include "tarn/info.h"

namespace tarn::laws {
namespace {

class Devices : public tarn_test::OnDevice {};

// TARN_SAMPLE_SHARD=2/16: the third of sixteen parts of the samples, so that processes can share
// them. All without it.
class Shard {
 public:
  Shard() {
    const char* text = std::getenv("TARN_SAMPLE_SHARD");
    if (text && std::sscanf(text, "%d/%d", &mine_, &parts_) != 2) ADD_FAILURE() << text;
  }
  bool takes_next() { return next_++ % parts_ == mine_; }
  int parts() const { return parts_; }

 private:
  int mine_ = 0, parts_ = 1, next_ = 0;
};

array computed_on(Device d, const Op& op, const Sample& s) {
  StreamContext scope{d};
  array y = call(op, s.params, s.in);
  y.eval();
  return y;
}

TEST_F(Devices, ComputeWhatTheCpuComputes) {
  int compared = 0;
  Shard shard;
  for_each_sample([&](const Op& op, Dtype t, const Sample& s) {
    if (!shard.takes_next()) return;
    SCOPED_TRACE(name(op, t, s));
    ++compared;
    try {
      array want = computed_on(Device::cpu, op, s), got = computed_on(Device::gpu, op, s);
      EXPECT_TRUE(close(got, want, tolerance(op, t)));
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  });
  EXPECT_GT(compared, 1000 / shard.parts());
}

// The same with inputs that lie in the card's memory, strided.
TEST_F(Devices, ComputeTheSameWhereverInputsAre) {
  Shard shard;
  for_each_sample([&](const Op& op, Dtype t, const Sample& s) {
    if (!shard.takes_next() || s.in.empty() || s.in[0].ndim() == 0) return;
    SCOPED_TRACE(name(op, t, s));
    array want = computed_on(Device::cpu, op, s);
    Sample there = s;
    {
      StreamContext scope{Device::gpu};
      for (auto& x : there.in)
        if (x.ndim() > 0) x = transpose(contiguous(transpose(x)));
      eval(there.in);
    }
    EXPECT_TRUE(close(computed_on(Device::gpu, op, there), want, tolerance(op, t)));
    EXPECT_TRUE(close(computed_on(Device::cpu, op, there), want, tolerance(op, t)));
  });
}

// What has kernels of its own keeps them: these ops may not slip to the CPU unseen.
TEST_F(Devices, RunThemselvesWhatTheyHaveKernelsFor) {
  if (!is_card()) GTEST_SKIP() << "the stand-in has the CPU's";
  const std::set<std::string_view> whole{"add",
                                         "exp",
                                         "where",
                                         "sum",
                                         "max",
                                         "argmax",
                                         "softmax",
                                         "rms_norm",
                                         "rope",
                                         "matmul",
                                         "gather",
                                         "slice_update",
                                         "concatenate",
                                         "attention",
                                         "rms_norm_back",
                                         "cross_entropy",
                                         "cross_entropy_back",
                                         "sort",
                                         "argsort",
                                         "searchsorted",
                                         "cumsum",
                                         "cumprod",
                                         "cummax",
                                         "cummin",
                                         "logcumsumexp"};
  std::map<std::string_view, int> on_cpu;
  for_each_sample([&](const Op& op, Dtype t, const Sample& s) {
    if (!whole.contains(op.name) || t != float32 || s.in[0].size() == 0) return;
    StreamContext scope{Device::gpu};
    eval(s.in);
    std::string plan = explain(call(op, s.params, s.in));
    if (plan.find(", on the CPU") != std::string::npos) ++on_cpu[op.name];
  });
  for (const auto& [op, times] : on_cpu) ADD_FAILURE() << op << ": " << times << " samples";
}

}  // namespace
}  // namespace tarn::laws
