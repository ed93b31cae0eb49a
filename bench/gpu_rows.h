// This library's side of bench/compare_gpu.py, gpu_bench rows: one command a line on standard
// input, one JSON answer a line on standard output. Rates are a second's, of what the row counts.
#pragma once

#include <chrono>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "commands.h"
#include "gpu_models.h"
#include "gpu_training.h"
#include "runtime/eval.h"
#include "tarn/lm.h"
#include "tarn/tarn.h"

namespace bench {

// What a row repeats for at least so many seconds; error: of a result, against float64, as a share
// of its norm.
struct Row {
  std::function<double(double seconds)> rate{};
  std::optional<double> error{};
};

inline double share_off(const array& got, const array& want) {
  StreamContext on_cpu{Device::cpu};
  array off = sum(square(astype(got, float64) - want)) / sum(square(want));
  return std::sqrt(off.item<double>());
}
inline array random_numbers(Shape shape, Dtype dtype, uint64_t seed) {
  array a = astype(random::normal(std::move(shape), float32, random::key(seed)), dtype);
  a.eval();
  return a;
}

class GpuRows {
 public:
  Json perform(const Json& command) {
    auto what = command["do"].get<std::string>();
    if (what == "prepare") {
      row_ = {};
      row_ = make(command["row"].get<std::string>());
      return row_.error ? Json{{"error_of_norm", *row_.error}} : Json::object();
    }
    if (what == "rate") return {{"rate", row_.rate(command["seconds"].get<double>())}};
    throw ValueError("[gpu_bench] unknown command " + what + ".");
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  Row make(const std::string& name) {
    for (const LlamaShape& s : llama_shapes) {
      if (name == std::string("decode ") + s.title) return answers(s);
      if (name == std::string("prompt ") + s.title) return prompts(s);
      if (name == std::string("host ") + s.title) return host(s);
      if (name == std::string("training ") + s.title) return training(s);
    }
    if (name == "matmul") return matmul_row();
    if (name == "attention 128") return attention_row(128);
    if (name == "attention 256") return attention_row(256);
    if (name == "copy") return copy_row();
    if (name == "elementwise") return elementwise_row();
    if (name == "1000 ops") return ops_one_by_one();
    if (name == "1000 ops replayed") return ops_replayed();
    throw ValueError("[gpu_bench] unknown row " + name + ".");
  }

  // --- models

  const lm::LanguageModel& model_of(const LlamaShape& s) {
    auto at = models_.find(s.title);
    if (at == models_.end()) at = models_.emplace(s.title, random_llama(s)).first;
    return at->second;
  }
  static std::vector<int32_t> prompt() {
    std::vector<int32_t> ids;
    for (int i = 0; i < 512; ++i) ids.push_back(1000 + i * 379 % 40000);
    return ids;
  }
  static lm::GenerationInfo answer(const lm::LanguageModel& model, int tokens) {
    lm::GenerateParameters options{.max_tokens = tokens, .temperature = 0};
    lm::GenerationInfo info;
    for (const lm::Event& e : lm::generate(model, prompt(), options))
      if (e.kind == lm::Event::Kind::info) info = e.info;
    return info;
  }
  Row answers(const LlamaShape& s) {
    return {[&model = model_of(s)](double seconds) {
      double tokens = 0, spent = 0;
      while (spent < seconds) {
        auto info = answer(model, 129);
        tokens += info.generated_tokens - 1, spent += info.generate_seconds;
      }
      return tokens / spent;
    }};
  }
  Row prompts(const LlamaShape& s) {
    return {[&model = model_of(s)](double seconds) {
      double tokens = 0, spent = 0;
      while (spent < seconds) {
        auto info = answer(model, 1);
        tokens += info.prompt_tokens, spent += info.prompt_seconds;
      }
      return tokens / spent;
    }};
  }
  // Tokens that the host could give to a card which takes no time.
  Row host(const LlamaShape& s) {
    return {[&model = model_of(s)](double) {
      return 1e6 / token_time(model, prompt(), Precision::balanced).host;
    }};
  }
  // Rank 8 on all linear layers, four examples of 1,024 tokens a step; the median of eight steps.
  Row training(const LlamaShape& s) {
    lm::LanguageModel model = model_of(s);
    lm::LoRAContainer::from(model, lm::LoRAConfiguration{.num_layers = -1}).load(model);
    lm::TrainData data = random_examples(16, 1025);
    data.valid = {};
    lm::TrainOptions options{.learning_rate = 2e-4, .steps = 12, .batch_size = 4};
    options.tokens_at_once = 4096;
    options.compute = lm::ComputeIn::bfloat16;
    return {[=](double) {
      Course course = course_of(model, data, options);
      return static_cast<double>(course.tokens) / course.seconds;
    }};
  }

  // --- arrays

  // Evaluations a second, ten of them behind each other.
  static double evaluations(double seconds, const std::function<array()>& make) {
    constexpr int in_queue = 10;
    double done = 0;
    auto start = Clock::now();
    do {
      for (int i = 0; i < in_queue; ++i) eval(make());
      synchronize();
      done += in_queue;
    } while (since(start) < seconds);
    return done / since(start);
  }
  static Row evaluated(double work, std::function<array()> make, std::optional<double> error = {}) {
    return {[=](double seconds) { return work * evaluations(seconds, make); }, error};
  }
  // Error: of the last 16 rows.
  static Row matmul_row() {
    constexpr int64_t n = 8192;
    array a = random_numbers({n, n}, bfloat16, 1), b = random_numbers({n, n}, bfloat16, 2);
    auto last = [](const array& x) { return slice(x, {n - 16, 0}, {n, n}); };
    array got = matmul(a, b);
    got.eval();
    StreamContext on_cpu{Device::cpu};
    array want = matmul(astype(last(a), float64), astype(b, float64));
    return evaluated(
        2.0 * n * n * n, [=] { return matmul(a, b, Device::gpu); }, share_off(last(got), want));
  }
  // Causal, 4096 queries of 32 heads. Error: of the last 16 queries.
  static Row attention_row(int64_t size) {
    constexpr int64_t length = 4096, heads = 32;
    Shape shape{1, heads, length, size};
    array q = random_numbers(shape, bfloat16, 1), k = random_numbers(shape, bfloat16, 2),
          v = random_numbers(shape, bfloat16, 3);
    const float scale = 1 / std::sqrt(float(size));
    auto make = [=] { return fast::cached_attention(q, k, v, scale, length, true); };
    auto last = [&](const array& x) {
      return astype(slice(x, {0, 0, length - 16, 0}, shape), float64);
    };
    array got = make();
    got.eval();
    StreamContext on_cpu{Device::cpu};
    array want = fast::cached_attention(last(q), astype(k, float64), astype(v, float64), scale,
                                        length, true);
    return evaluated(2.0 * heads * length * length * double(size), make,
                     share_off(last(got), want));
  }
  // 1 GiB is read, and written.
  static Row copy_row() {
    constexpr int64_t half = int64_t{1} << 27;
    array a = random_numbers({half}, float32, 1), b = random_numbers({half}, float32, 2);
    return evaluated(16.0 * half, [=] { return concatenate({a, b}, 0); });
  }
  // Two of 1 GiB are read, and one written.
  static Row elementwise_row() {
    constexpr int64_t n = int64_t{1} << 28;
    array a = random_numbers({n}, float32, 1), b = random_numbers({n}, float32, 2);
    return evaluated(12.0 * n, [=] { return sigmoid(a) * b; });
  }
  // Each waits for the one before, and none is fused with it.
  static std::function<array()> thousand_ops() {
    array x = random_numbers({1, 1, 64}, float32, 1), weight = random_numbers({64}, float32, 2);
    return [=] {
      array y = x;
      for (int i = 0; i < 1000; ++i) y = fast::rms_norm(y, weight, 1e-5f);
      return y;
    };
  }
  static Row ops_replayed() { return evaluated(1000, thousand_ops()); }
  // The second run of a plan that has just been made: launch by launch.
  static Row ops_one_by_one() {
    return {[make = thousand_ops()](double seconds) {
      double ops = 0, spent = 0;
      while (spent < seconds) {
        clear_plan_cache();
        eval(make());
        synchronize();
        auto start = Clock::now();
        eval(make());
        synchronize();
        ops += 1000, spent += since(start);
      }
      return ops / spent;
    }};
  }

  std::map<std::string, lm::LanguageModel> models_{};
  Row row_{};
};

inline void answer_rows() {
  auto info = device_info(Device::gpu);
  std::cout << Json{{"device", std::get<std::string>(info["device_name"])}}.dump() << std::endl;
  GpuRows rows;
  commands::answer([&](const Json& command) { return rows.perform(command); });
}

}  // namespace bench
