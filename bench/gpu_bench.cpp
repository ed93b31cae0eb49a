// The GPU through the public API: gpu_bench [part of a title], a line a shape, gpu_bench model
// FILE, gpu_bench decode or gpu_bench prompts [1B, 3B or 8B], gpu_bench training [1B or 3B],
// gpu_bench lines [part of a title] or gpu_bench weights; see docs/gpu.md. As several ranks, each
// with a GPU: gpu_bench sums, gpu_bench divided [1B, 3B or 8B] and gpu_bench training [1B]. For
// bench/compare_gpu.py: gpu_bench rows.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "gpu_lines.h"
#include "gpu_models.h"
#include "gpu_ranks.h"
#include "gpu_rows.h"
#include "gpu_training.h"
#include "tarn/lm.h"
#include "tarn/tarn.h"

namespace {

using namespace tarn;
using Clock = std::chrono::steady_clock;

const char* only = "";

// Seconds of one evaluation: the median of seven, each of several in the queue behind each other,
// once kernels have been compiled in the background.
double seconds_of(const std::function<array()>& make) {
  constexpr int rounds = 7, in_queue = 10;
  bench::warm_up([&] {
    eval(make());
    synchronize();
  });
  return bench::median_seconds(rounds,
                               [&] {
                                 for (int i = 0; i < in_queue; ++i) eval(make());
                                 synchronize();
                               }) /
         in_queue;
}

void bandwidth(const char* title, double bytes, const std::function<array()>& make) {
  if (std::strstr(title, only) == nullptr) return;
  double s = seconds_of(make);
  std::printf("%-52s %9.1f us %8.2f TB/s\n", title, s * 1e6, bytes / s / 1e12);
}
void rate(const char* title, double operations, const std::function<array()>& make) {
  if (std::strstr(title, only) == nullptr) return;
  double s = seconds_of(make);
  std::printf("%-52s %9.1f us %8.1f TFLOP/s\n", title, s * 1e6, operations / s / 1e12);
}

array normal(Shape shape, Dtype dtype = float32) {
  array a = astype(random::normal(std::move(shape), float32, random::key(1)), dtype);
  a.eval();
  return a;
}

void bench_memory() {
  int64_t n = int64_t{1} << 27;  // 512 MiB of float32
  array a = normal({n}), b = normal({n});
  double gb = 4.0 * double(n);
  array halves = reshape(a, {2, n / 2});
  bandwidth("copy of 512 MiB (concatenate)", 2 * 2 * gb, [&] { return concatenate({a, b}, 0); });
  bandwidth("x + 1", 2 * gb, [&] { return a + array(1.0f); });
  bandwidth("x + y", 3 * gb, [&] { return a + b; });
  bandwidth("x * 2 + y, in float16 and back", 3 * gb,
            [&] { return astype(astype(a * array(2.0f) + b, float16), float32); });
  bandwidth("sigmoid(x) * y (4 ops)", 3 * gb, [&] { return sigmoid(a) * b; });
  bandwidth("tanh(exp(-x) * y + x) * y - x (7 ops)", 3 * gb,
            [&] { return tanh(exp(-a) * b + a) * b - a; });
  array row = normal({1, n / 2});
  bandwidth("x + row, repeated along an axis", 3 * gb, [&] { return halves + row; });
  array square = reshape(a, {1 << 13, 1 << 14});
  bandwidth("transposed copy", 2 * gb, [&] { return contiguous(transpose(square)); });
  bandwidth("sum of all", gb, [&] { return sum(a); });
  bandwidth("sum of rows", gb, [&] { return sum(square, 1); });
  bandwidth("sum of columns", gb, [&] { return sum(square, 0); });
  bandwidth("softmax of rows of 16384", 2 * gb, [&] { return softmax(square, -1); });
  array weight = normal({1 << 14});
  bandwidth("rms_norm of rows of 16384", 2 * gb,
            [&] { return fast::rms_norm(square, weight, 1e-5f); });
}

void bench_products() {
  auto product = [](const char* title, int64_t n, Dtype t) {
    array a = normal({n, n}, t), b = normal({n, n}, t);
    rate(title, 2.0 * double(n) * double(n) * double(n), [&] { return matmul(a, b); });
  };
  product("matmul bfloat16 8192^3", 8192, bfloat16);
  product("matmul float16 4096^3", 4096, float16);
  product("matmul float32 4096^3", 4096, float32);
}

// Products of a few rows with matrices of 4-bit codes, groups of 64, one after the other: so many
// of them that the card's cache holds none until its next turn. Error: against float64.
void bench_codes(int64_t n, int64_t k, int64_t rows, Precision precision) {
  std::string title = "4-bit " + std::to_string(n) + "x" + std::to_string(k) + ", " +
                      std::to_string(rows) + (rows == 1 ? " row" : " rows") +
                      (precision == Precision::balanced ? ", balanced" : ", exact");
  if (title.find(only) == std::string::npos) return;
  auto q = quantize(normal({n, k}), 64, 4);
  array scales = astype(q[1], bfloat16), biases = astype(q[2], bfloat16);
  double bytes = double(n) * double(k) * 4.5 / 8;
  auto count = static_cast<size_t>(std::max(2.0, 4e8 / bytes));
  std::vector<array> codes;
  for (size_t i = 0; i < count; ++i) codes.push_back(q[0] + array(0u));
  array x = normal({rows, k});
  eval(codes), eval({scales, biases});
  PrecisionScope scope(precision);
  std::vector<array> products;
  double s = seconds_of([&] {
    products.clear();
    for (const auto& c : codes)
      products.push_back(quantized_matmul(x, c, scales, biases, true, 64, 4));
    eval(products);
    return products[0];
  });
  StreamContext on_cpu{Device::cpu};
  array weights = dequantize(codes[0], astype(scales, float32), astype(biases, float32), 64, 4);
  array want = matmul(astype(x, float64), transpose(astype(weights, float64)));
  array off = sum(square(astype(products[0], float64) - want)) / sum(square(want));
  s /= double(count);
  std::printf("%-52s %9.1f us %8.2f TB/s  error %.1e\n", title.c_str(), s * 1e6, bytes / s / 1e12,
              std::sqrt(off.item<double>()));
}
// The same of many rows, which is arithmetic's matter.
void bench_rows_of_codes(int64_t n, int64_t k, int64_t rows) {
  std::string title = "4-bit " + std::to_string(n) + "x" + std::to_string(k) + ", " +
                      std::to_string(rows) + " rows, balanced";
  if (title.find(only) == std::string::npos) return;
  auto q = quantize(normal({n, k}), 64, 4);
  array scales = astype(q[1], bfloat16), biases = astype(q[2], bfloat16), x = normal({rows, k});
  eval(q[0], scales, biases);
  PrecisionScope scope(Precision::balanced);
  array y = x;
  double s = seconds_of([&] { return y = quantized_matmul(x, q[0], scales, biases, true, 64, 4); });
  StreamContext on_cpu{Device::cpu};
  array weights = dequantize(q[0], astype(scales, float32), astype(biases, float32), 64, 4);
  array some = slice(x, {rows - 8, 0}, x.shape());
  array want = matmul(astype(some, float64), transpose(astype(weights, float64)));
  array off =
      sum(square(astype(slice(y, {rows - 8, 0}, y.shape()), float64) - want)) / sum(square(want));
  std::printf("%-52s %9.1f us %8.1f TFLOP/s  error %.1e\n", title.c_str(), s * 1e6,
              2.0 * double(n * k) * double(rows) / s / 1e12, std::sqrt(off.item<double>()));
}

void bench_all_codes() {
  const int64_t shapes[][2] = {{2048, 2048},  {8192, 2048},  {2048, 8192},  {4096, 4096},
                               {14336, 4096}, {4096, 14336}, {128256, 2048}};
  for (auto [n, k] : shapes)
    for (int64_t rows : {1, 8})
      for (auto precision : {Precision::balanced, Precision::exact})
        bench_codes(n, k, rows, precision);
  for (auto [n, k] : shapes)
    if (n < 100000)
      for (int64_t rows : {100, 512, 2048}) bench_rows_of_codes(n, k, rows);
}

// Causal attention of as many queries as keys. Error: of the last 16 queries, against float64.
struct AttentionShape {
  int64_t batch, heads, kv_heads, length, dim;
};
void bench_attention(const AttentionShape& s, Dtype queries, Dtype keys) {
  std::string title = "attention " + std::to_string(s.batch) + "x" + std::to_string(s.length) +
                      "x" + std::to_string(s.heads) + "x" + std::to_string(s.dim) + ", " +
                      std::to_string(s.kv_heads) + " heads of keys, " +
                      (queries == float32 ? "float32 over " : "") +
                      (keys == float16 ? "float16" : "bfloat16");
  if (title.find(only) == std::string::npos) return;
  array q = normal({s.batch, s.heads, s.length, s.dim}, queries);
  array k = normal({s.batch, s.kv_heads, s.length, s.dim}, keys), v = k * array(-0.5f, keys);
  eval(v);
  const float scale = 1 / std::sqrt(float(s.dim));
  array y = q;
  double t = seconds_of([&] { return y = fast::cached_attention(q, k, v, scale, s.length, true); });
  StreamContext on_cpu{Device::cpu};
  auto last = [&](const array& x) {
    return astype(slice(x, {0, 0, s.length - 16, 0}, x.shape()), float64);
  };
  array want = fast::cached_attention(last(q), astype(k, float64), astype(v, float64), scale,
                                      s.length, true);
  array off = sum(square(last(y) - want)) / sum(square(want));
  double products = 2.0 * double(s.batch * s.heads * s.length) * double(s.length * s.dim);
  std::printf("%-52s %9.1f us %8.1f TFLOP/s  error %.1e\n", title.c_str(), t * 1e6,
              products / t / 1e12, std::sqrt(off.item<double>()));
}
// The cotangents of q, k and v in training, where attention rounds to bfloat16, and in float32.
// Error: of all three together, against float32. Five products are counted, as others do.
void bench_attention_back(const AttentionShape& s) {
  std::string title = "attention back " + std::to_string(s.batch) + "x" + std::to_string(s.length) +
                      "x" + std::to_string(s.heads) + "x" + std::to_string(s.dim) + ", " +
                      std::to_string(s.kv_heads) + " heads of keys";
  if (title.find(only) == std::string::npos) return;
  array q = normal({s.batch, s.heads, s.length, s.dim}), g = q * array(0.5f);
  array k = normal({s.batch, s.kv_heads, s.length, s.dim}), v = k * array(-0.5f);
  eval(g, v);
  const fast::AttentionOptions how{.scale = 1 / std::sqrt(float(s.dim)), .causal = true};
  auto back = [&](Precision precision) {
    PrecisionScope scope(precision);
    return vjp(
               [&](const std::vector<array>& x) {
                 return std::vector{fast::attention(x[0], x[1], x[2], how)};
               },
               {q, k, v}, {g})
        .second;
  };
  double t = seconds_of([&] { return back(Precision::balanced)[0]; });
  auto got = back(Precision::balanced), want = back(Precision::exact);
  array off = array(0.0f), all = off;
  for (size_t i = 0; i < want.size(); ++i)
    off = off + sum(square(got[i] - want[i])), all = all + sum(square(want[i]));
  double products = 5.0 * double(s.batch * s.heads * s.length) * double(s.length * s.dim);
  std::printf("%-52s %9.1f us %8.1f TFLOP/s  error %.1e\n", title.c_str(), t * 1e6,
              products / t / 1e12, std::sqrt(double{(off / all).item<float>()}));
}

void bench_attentions() {
  for (auto type : {bfloat16, float16})
    for (int64_t dim : {64, 128, 256}) bench_attention({1, 32, 32, 4096, dim}, type, type);
  bench_attention({1, 32, 8, 4096, 128}, bfloat16, bfloat16);
  bench_attention({4, 32, 8, 1024, 64}, bfloat16, bfloat16);
  for (int64_t length : {512, 4096})
    for (auto type : {float16, bfloat16}) bench_attention({1, 32, 8, length, 128}, float32, type);
  bench_attention({1, 8, 4, 4096, 256}, float32, float16);
  bench_attention_back({4, 32, 8, 1024, 64});
  bench_attention_back({4, 24, 8, 1024, 128});
  bench_attention_back({1, 32, 8, 4096, 128});
}

// A thousand small ops, each of which waits for the one before and cannot be fused with it. A plan
// whose values take 8 MB is not recorded.
enum class Replayed : uint8_t { yes, no };
void bench_launches(const char* title, Replayed replayed,
                    const std::function<array(const array&)>& op) {
  if (std::strstr(title, only) == nullptr) return;
  array x = normal({1, replayed == Replayed::yes ? 1 : 1 << 15, 64});
  double s = seconds_of([&] {
    array y = slice(softmax(x, -1), {0, 0, 0}, {1, 1, 64});
    for (int i = 0; i < 1000; ++i) y = op(y);
    return y;
  });
  std::printf("%-52s %9.2f us an op\n", title, s * 1e3);
}
void bench_all_launches() {
  array weight = normal({64});
  auto norm = [&](const array& y) { return fast::rms_norm(y, weight, 1e-5f); };
  auto turn = [](const array& y) { return fast::rope(y, 64, false, 10000.0f, 1.0f, 1); };
  bench_launches("1000 dependent norms", Replayed::yes, norm);
  bench_launches("1000 dependent norms, not replayed", Replayed::no, norm);
  bench_launches("1000 dependent turns", Replayed::yes, turn);
}

// --- whole models

// One answer: the prompt's and the new tokens a second.
void bench_answer(const lm::LanguageModel& model, const std::vector<int32_t>& prompt,
                  Precision precision, int tokens) {
  lm::GenerateParameters options{.max_tokens = tokens, .temperature = 0};
  options.precision = precision;
  for (const lm::Event& e : lm::generate(model, prompt, options)) {
    if (e.kind != lm::Event::Kind::info) continue;
    std::printf("%s, %zu + %d tokens: %.0f and %.1f a second\n",
                precision == Precision::exact ? "exact" : "balanced", prompt.size(), tokens,
                e.info.prompt_tokens_per_second(), e.info.tokens_per_second());
    std::fflush(stdout);
  }
}
void bench_parts(const lm::LanguageModel& model, const std::vector<int32_t>& prompt,
                 Precision precision) {
  bench::TokenTime t = bench::token_time(model, prompt, precision);
  bench::TokenTime each = bench::token_time(model, prompt, precision, bench::Recording::each);
  std::printf(
      "a token: host %.1f us, until the card is done %.0f; where each is recorded %.0f and %.0f\n",
      t.host, t.card, each.host, each.card);
  std::fflush(stdout);
}
void bench_answers(const lm::LanguageModel& model, int prompt_tokens) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < prompt_tokens; ++i) prompt.push_back(1000 + i * 379 % 40000);
  for (auto precision : {Precision::balanced, Precision::exact}) {
    for (int tokens : {33, 129, 129}) bench_answer(model, prompt, precision, tokens);
    bench_parts(model, prompt, precision);
  }
}
void bench_model(const char* path) {
  lm::LanguageModel model = lm::load(path);
  model.stop_ids.clear();
  bench_answers(model, 16);
}

void bench_decode(const char* which) {
  for (const bench::LlamaShape& s : bench::llama_shapes) {
    if (std::strstr(s.title, which) == nullptr) continue;
    std::printf("%s\n", s.title);
    bench_answers(bench::random_llama(s), 512);
  }
}
void bench_adapters(const char* which) {
  for (const bench::LlamaShape& s : bench::llama_shapes)
    if (std::strstr(s.title, which) != nullptr) bench::bench_adapter(s);
}
// Prompts alone, the fastest of a few turns: the first ones choose kernels and record the plan.
void bench_prompt(const lm::LanguageModel& model, int count, Precision precision) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < count; ++i) prompt.push_back(1000 + i * 379 % 40000);
  lm::GenerateParameters options{.max_tokens = 1, .temperature = 0};
  options.precision = precision;
  double best = 0;
  for (int turn = 0; turn < 6; ++turn)
    for (const lm::Event& e : lm::generate(model, prompt, options))
      if (e.kind == lm::Event::Kind::info) best = std::max(best, e.info.prompt_tokens_per_second());
  bench::TokenTime t = bench::prompt_time(model, prompt, precision);
  std::printf(
      "%s, prompt of %d tokens: %.0f a second; behind each other %.0f us each, the host's %.0f\n",
      precision == Precision::exact ? "exact" : "balanced", count, best, t.card, t.host);
  std::fflush(stdout);
}
void bench_prompts(const char* which) {
  for (const bench::LlamaShape& s : bench::llama_shapes) {
    if (std::strstr(s.title, which) == nullptr) continue;
    std::printf("%s\n", s.title);
    lm::LanguageModel model = bench::random_llama(s);
    for (auto precision : {Precision::balanced, Precision::exact})
      for (int count : {512, 2048}) bench_prompt(model, count, precision);
  }
}
// What several ranks do together; false when that is not what is asked for.
bool bench_ranks(const char* which) {
  bool sums = std::strcmp(only, "sums") == 0, divided = std::strcmp(only, "divided") == 0;
  bool alone = distributed::init().size() == 1;
  if (!sums && !divided && (alone || std::strcmp(only, "training") != 0)) return false;
  if (alone) {
    std::puts("Start it as several ranks: tarn launch -n 2 --backend nccl gpu_bench ...");
    return true;
  }
  if (sums) bench::bench_sums();
  for (const bench::LlamaShape& s : bench::llama_shapes)
    if (!sums && std::strstr(s.title, which) != nullptr)
      divided ? bench::bench_divided(s) : bench::bench_training(s);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) only = argv[1];
  if (!is_available(Device::gpu)) {
    std::puts("There is no GPU here.");
    return 0;
  }
  set_default_device(Device::gpu);
  if (std::strcmp(only, "rows") == 0) {
    bench::answer_rows();
    return 0;
  }
  auto info = device_info(Device::gpu);
  std::printf("%s, %s\n", std::get<std::string>(info["device_name"]).c_str(),
              std::get<std::string>(info["architecture"]).c_str());
  if (std::strcmp(only, "model") == 0 && argc > 2) {
    bench_model(argv[2]);
    return 0;
  }
  if (std::strcmp(only, "decode") == 0) {
    bench_decode(argc > 2 ? argv[2] : "");
    return 0;
  }
  if (std::strcmp(only, "lines") == 0) {
    bench::part_of_lines = argc > 2 ? argv[2] : "";
    bench::bench_lines();
    return 0;
  }
  if (std::strcmp(only, "weights") == 0) {
    bench::bench_weights();
    return 0;
  }
  if (std::strcmp(only, "prompts") == 0) {
    bench_prompts(argc > 2 ? argv[2] : "");
    return 0;
  }
  if (bench_ranks(argc > 2 ? argv[2] : "1B")) return 0;
  if (std::strcmp(only, "training") == 0) {
    bench_adapters(argc > 2 ? argv[2] : "1B");
    return 0;
  }
  bench_memory();
  bench_products();
  bench_attentions();
  bench_all_codes();
  bench_all_launches();
  return 0;
}
