#include <unistd.h>

#include <functional>
#include <set>

#include "base/json.h"
#include "base/json_text.h"
#include "base/text.h"
#include "measure.h"
#include "progress.h"
#include "tarn/info.h"
#include "tarn/memory.h"
#include "tarn/ops.h"
#include "tarn/random.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct BenchArguments {
  ModelOptions model{};
  int prompt_tokens = 512, new_tokens = 128, repeat = 5, streams = 1;
  std::string precision = "balanced";
  bool wants_json = false;
};

struct BenchResult {
  double load_seconds = 0, first_token_seconds = 0;  // the latter with a prompt of 16 tokens
  Rates prefill{}, decode{};                         // tokens a second
  Rates one_stream{}, streams{}, stream_ratio{};     // of an engine, with the prompts' time
  uint64_t weight_bytes = 0;
  MachineInfo machine{};
  double small_op_microseconds = 0;
  double matmul_1024 = 0, matmul_2048 = 0;  // float operations a second
  uint64_t memory_bytes = 0, peak_array_bytes = 0;
};

// Each token's weights: every parameter once, however many names it has.
uint64_t weight_bytes(const lm::LanguageModel& lm) {
  lm::Model copy = lm.model;
  std::set<std::uintptr_t> seen;
  uint64_t bytes = 0;
  copy.parameters([&](const std::string&, array& a) {
    if (seen.insert(a.id()).second) bytes += a.nbytes();
  });
  return bytes;
}

// Ids that spread over the vocabulary, the same each time, and others for each stream.
std::vector<int32_t> made_up_prompt(const lm::LanguageModel& lm, int tokens, int stream = 0) {
  std::vector<int32_t> ids;
  int64_t vocabulary = std::max<int64_t>(lm.model.shape().vocabulary, 1);
  for (int64_t i = 0; i < tokens; ++i) {
    ids.push_back(static_cast<int32_t>((1000 + stream * 977 + i * 7919) % vocabulary));
  }
  return ids;
}

lm::GenerateParameters parameters_of(const BenchArguments& given, int new_tokens,
                                     std::stop_token stop) {
  lm::GenerateParameters options{.max_tokens = new_tokens, .temperature = 0};
  options.precision = given.precision == "exact" ? Precision::exact : Precision::balanced;
  options.stop = std::move(stop);
  return options;
}

lm::GenerationInfo run_once(const lm::LanguageModel& lm, const BenchArguments& given,
                            int prompt_tokens, int new_tokens, std::stop_token stop) {
  lm::GenerationInfo info;
  for (const lm::Event& event : lm::generate(lm, made_up_prompt(lm, prompt_tokens),
                                             parameters_of(given, new_tokens, std::move(stop)))) {
    if (event.kind == lm::Event::Kind::info) info = event.info;
  }
  if (info.finish_reason == "cancelled") throw Cancelled("[bench] stopped.");
  return info;
}

constexpr int short_prompt = 16, stream_prompt = 128;

// New tokens a second of so many answers at a time, the prompts' time among it.
double stream_rate(const lm::LanguageModel& lm, const BenchArguments& given, int streams,
                   const std::stop_token& stop) {
  lm::Engine engine(lm::ModelContainer(lm), {.most_answers = streams, .prefix_bytes = 0});
  int tokens = 0;
  double seconds = seconds_of([&] {
    std::vector<lm::Generation> answers;
    for (int i = 0; i < streams; ++i) {
      answers.push_back(engine.generate(lm::LMInput{made_up_prompt(lm, stream_prompt, i)},
                                        parameters_of(given, given.new_tokens, stop)));
    }
    for (auto& answer : answers)
      for (const lm::Event& event : answer) tokens += static_cast<int>(event.ids.size());
  });
  if (stop.stop_requested()) throw Cancelled("[bench] stopped.");
  return tokens / seconds;
}

// One stream and many take turns, so that the ratio is one of neighbours.
void measure_streams(const lm::LanguageModel& lm, const BenchArguments& given, BenchResult& result,
                     const std::stop_token& stop) {
  double one = stream_rate(lm, given, 1, stop), many = stream_rate(lm, given, given.streams, stop);
  result.one_stream.all.push_back(one);
  result.streams.all.push_back(many);
  result.stream_ratio.all.push_back(many / one);
}

void measure_model(const BenchArguments& given, BenchResult& result) {
  lm::LanguageModel lm;
  result.load_seconds = seconds_of([&] { lm = load_model(given.model); });
  lm.stop_ids.clear();  // every run is to make as many tokens
  result.weight_bytes = weight_bytes(lm);
  InterruptScope interrupt;
  // The first answer, as a user would wait for it: nothing is warm.
  result.first_token_seconds =
      run_once(lm, given, short_prompt, 1, interrupt.token()).prompt_seconds;
  ProgressOptions bar;
  bar.label = "Measuring";
  bar.total = static_cast<uint64_t>(given.repeat);
  bar.in_bytes = false;
  Progress progress(bar);
  for (int i = 0; i < given.repeat; ++i) {
    auto prefill = run_once(lm, given, given.prompt_tokens, 1, interrupt.token());
    result.prefill.all.push_back(prefill.prompt_tokens_per_second());
    auto decode = run_once(lm, given, short_prompt, given.new_tokens + 1, interrupt.token());
    result.decode.all.push_back(decode.tokens_per_second());
    if (given.streams > 1) measure_streams(lm, given, result, interrupt.token());
    progress.update(static_cast<uint64_t>(i + 1));
  }
  result.memory_bytes = anonymous_memory();
  result.peak_array_bytes = get_peak_memory();
}

// x + y of 64 floats, recorded and evaluated; the best of several runs, in microseconds.
double small_op_microseconds() {
  constexpr int count = 5000;
  array x = ones({64}), y = ones({64});
  eval(x, y);
  double best = 1;
  for (int run = 0; run < 5; ++run) {
    best = std::min(best, seconds_of([&] {
                      for (int i = 0; i < count; ++i) eval(x + y);
                    }));
  }
  return best / count * 1e6;
}

// Float operations a second of a float32 product of two n x n matrices.
double matmul_rate(int n) {
  array a = random::normal({n, n}), b = random::normal({n, n});
  eval(a, b);
  double best = 1e9;
  double end = now_seconds() + 1;
  for (int run = 0; run < 3 || (run < 20 && now_seconds() < end); ++run) {
    best = std::min(best, seconds_of([&] { eval(matmul(a, b)); }));
  }
  return 2.0 * n * n * n / best;
}

// The share of the measured bandwidth that decoding reads weights with.
double bandwidth_share(const BenchResult& r) {
  double bandwidth = r.machine.read_bandwidth_all;
  return bandwidth > 0 ? r.decode.median() * static_cast<double>(r.weight_bytes) / bandwidth : 0;
}

OrderedJson to_json(const Rates& rates) {
  return {{"median", rates.median()},
          {"best", rates.best()},
          {"spread", rates.spread()},
          {"all", rates.all}};
}

std::string as_json(const BenchArguments& given, const BenchResult& r) {
  OrderedJson out;
  out["processor"] = r.machine.processor;
  out["isa"] = r.machine.isa;
  out["threads"] = r.machine.threads;
  out["precision"] = given.precision;
  out["prompt_tokens"] = given.prompt_tokens;
  out["new_tokens"] = given.new_tokens;
  out["load_seconds"] = r.load_seconds;
  out["first_token_seconds"] = r.first_token_seconds;
  out["load_to_first_token_seconds"] = r.load_seconds + r.first_token_seconds;
  out["prefill_tokens_per_second"] = to_json(r.prefill);
  out["decode_tokens_per_second"] = to_json(r.decode);
  if (given.streams > 1) {
    out["streams"] = given.streams;
    out["one_stream_tokens_per_second"] = to_json(r.one_stream);
    out["streams_tokens_per_second"] = to_json(r.streams);
    out["streams_to_one"] = to_json(r.stream_ratio);
  }
  out["weight_bytes"] = r.weight_bytes;
  out["weight_bytes_per_second"] = r.decode.median() * static_cast<double>(r.weight_bytes);
  out["read_bandwidth_1"] = r.machine.read_bandwidth_1;
  out["read_bandwidth_all"] = r.machine.read_bandwidth_all;
  out["bandwidth_share"] = bandwidth_share(r);
  out["small_op_microseconds"] = r.small_op_microseconds;
  out["matmul_1024_gflops"] = r.matmul_1024 / 1e9;
  out["matmul_2048_gflops"] = r.matmul_2048 / 1e9;
  out["anonymous_memory_bytes"] = r.memory_bytes;
  out["peak_array_bytes"] = r.peak_array_bytes;
  return json_text(out, 2) + "\n";
}

std::string rates_text(const Rates& rates) {
  return fmt::format("{:8.1f} tokens/s   best {:.1f}, spread {:.0f} %", rates.median(),
                     rates.best(), rates.spread() * 100);
}

std::string as_text(const BenchArguments& given, const BenchResult& r) {
  auto line = [](const std::string& name, const std::string& value) {
    return fmt::format("{:<24}{}\n", name, value);
  };
  double read = r.decode.median() * static_cast<double>(r.weight_bytes);
  std::string text = fmt::format("{}, {} kernels, {} threads, {}\n", safe_text(r.machine.processor),
                                 r.machine.isa, r.machine.threads, given.precision);
  text += line(fmt::format("prompt of {}", given.prompt_tokens), rates_text(r.prefill));
  text += line(fmt::format("answer of {}", given.new_tokens), rates_text(r.decode));
  if (given.streams > 1) {
    text += line("one stream", rates_text(r.one_stream));
    text +=
        line(fmt::format("{} streams", given.streams),
             fmt::format("{}, {:.2f} times one", rates_text(r.streams), r.stream_ratio.median()));
  }
  text += line("weights read",
               fmt::format("{:>8}/s   {} a token, {:.0f} % of the {}/s that all "
                           "threads read",
                           bytes_text(read), bytes_text(static_cast<double>(r.weight_bytes)),
                           bandwidth_share(r) * 100, bytes_text(r.machine.read_bandwidth_all)));
  text += line("load", fmt::format("{:8.3f} s", r.load_seconds));
  text += line(
      "first token",
      fmt::format("{:8.3f} s          with a prompt of {}, {:.3f} s from the file on",
                  r.first_token_seconds, short_prompt, r.load_seconds + r.first_token_seconds));
  text += line("x + y, 64 floats", fmt::format("{:8.2f} µs", r.small_op_microseconds));
  text += line("float32 matmul", fmt::format("{:8.1f} GFLOP/s    1024, {:.1f} for 2048",
                                             r.matmul_1024 / 1e9, r.matmul_2048 / 1e9));
  text += line("memory", fmt::format("{:>8}     arrays at most {}",
                                     bytes_text(static_cast<double>(r.memory_bytes)),
                                     bytes_text(static_cast<double>(r.peak_array_bytes))));
  return text;
}

}  // namespace

int bench(const Words& words) {
  BenchArguments given;
  Arguments arguments("tarn bench", "How fast this machine runs a model.");
  given.model.add_to(arguments);
  arguments.number("--prompt-tokens", given.prompt_tokens, "length of the prompt", {1, 1 << 20});
  arguments.number("--new-tokens", given.new_tokens, "length of the answer", {1, 1 << 20});
  arguments.number("--repeat", given.repeat, "measurements of each", {1, 1000});
  arguments.number("--streams", given.streams,
                   "answers at a time, compared with one; prompts of 128 tokens", {1, 15});
  arguments.choice("--precision", given.precision, {"balanced", "exact"},
                   "exact: activations stay in float32");
  arguments.flag("--json", given.wants_json, "one object");
  if (!parse_or_help(arguments, words)) return 0;

  BenchResult result;
  measure_model(given, result);
  result.small_op_microseconds = small_op_microseconds();
  result.matmul_1024 = matmul_rate(1024);
  result.matmul_2048 = matmul_rate(2048);
  result.machine = machine_info();
  measure_bandwidth(result.machine);
  write_all(STDOUT_FILENO, given.wants_json ? as_json(given, result) : as_text(given, result),
            "standard output");
  return 0;
}

}  // namespace tarn::cli
