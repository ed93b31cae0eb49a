// The workloads of bench/compare.py in this library's words: a name, inputs from files, a result.
#pragma once

#include <chrono>
#include <ctime>
#include <string>
#include <vector>

#include "base/json.h"
#include "tarn/fast.h"
#include "tarn/io.h"
#include "tarn/nn/losses.h"
#include "tarn/ops.h"

namespace tarn::bench {

// Wall time, or the processor's time of this process where the machine is shared.
class Watch {
 public:
  explicit Watch(bool processor) : processor_(processor), start_(now()) {}
  double seconds() const { return now() - start_; }

 private:
  double now() const {
    if (processor_) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  bool processor_ = false;
  double start_ = 0;
};

// Each waits for the one before, and none is fused with it.
inline array softmax_1000(array x) {
  for (int i = 0; i < 1000; ++i) x = softmax(x, -1);
  return x;
}

inline array result_of(const std::string& op, const std::vector<array>& in) {
  const array& x = in.at(0);
  if (op == "matmul") return matmul(x, in.at(1));
  if (op == "attention") {
    return fast::scaled_dot_product_attention(x, in.at(1), in.at(2), 0.125f, "causal");
  }
  if (op == "chain") return sigmoid(x) * x + exp(-x * x);
  if (op == "add") return x + in.at(1);
  if (op == "softmax_1000") return softmax_1000(x);
  if (op == "softmax") return softmax(x, -1);
  if (op == "layer_norm") return fast::layer_norm(x, std::nullopt, std::nullopt, 1e-5f);
  if (op == "conv2d") return conv2d(x, in.at(1), {1, 1}, {1, 1});
  if (op == "cross_entropy")
    return nn::losses::cross_entropy(matmul(x, transpose(in.at(1))), in.at(2), std::nullopt, -1, 0,
                                     nn::losses::Reduction::mean);
  throw ValueError("[compare_driver] unknown workload " + op + ".");
}

// What `prepare` read, for the samples that follow.
struct Workload {
  std::string op{};
  std::vector<array> inputs{};

  void prepare(const Json& command) {
    op = command["op"].get<std::string>();
    Dtype type = command["dtype"] == "bfloat16"  ? bfloat16
                 : command["dtype"] == "float16" ? float16
                                                 : float32;
    inputs.clear();
    for (const auto& file : command["inputs"]) {
      array a = load(file.get<std::string>());
      inputs.push_back(a.dtype() == float32 ? astype(a, type) : a);
      inputs.back().eval();
    }
    save(command["out"].get<std::string>(), astype(result_of(op, inputs), float32));
  }
  // Units of work a second, of which one evaluation has `work`.
  double rate(const Json& command) const {
    eval(result_of(op, inputs));
    Watch watch(command.value("processor_time", false));
    double done = 0, work = command["work"].get<double>();
    while (done == 0 || watch.seconds() < command["seconds"].get<double>()) {
      eval(result_of(op, inputs));
      done += work;
    }
    return done / watch.seconds();
  }
};

}  // namespace tarn::bench
