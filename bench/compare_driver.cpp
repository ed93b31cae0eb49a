// This library's side of bench/compare.py: one command a line on standard input, one JSON answer a
// line on standard output, so that sides take turns inside processes that stay warm.
#include <cstdio>
#include <string>
#include <vector>

#include "base/json.h"
#include "commands.h"
#include "compare_work.h"
#include "runtime/eval.h"
#include "tarn/info.h"
#include "tarn/lm.h"
#include "tarn/memory.h"
#include "tarn/ops.h"
#include "train_work.h"

namespace {

using namespace tarn;
using Ids = std::vector<int32_t>;

Precision precision_of(const Json& command) {
  return command.value("precision", "balanced") == "exact" ? Precision::exact : Precision::balanced;
}

// The prompt's and the answer's time, answered greedily; the model's stop tokens do not stop it.
lm::GenerationInfo answer(const lm::LanguageModel& model, const Json& command, Ids* ids = nullptr) {
  lm::GenerateParameters options{.max_tokens = command["new"].get<int>(), .temperature = 0};
  options.precision = precision_of(command);
  lm::GenerationInfo info;
  for (const lm::Event& e : lm::generate(model, command["ids"].get<Ids>(), options)) {
    if (ids) ids->insert(ids->end(), e.ids.begin(), e.ids.end());
    if (e.kind == lm::Event::Kind::info) info = e.info;
  }
  return info;
}

// Tokens a second over at least `seconds`.
Json decode(const lm::LanguageModel& model, const Json& command) {
  double spent = 0, tokens = 0;
  while (spent < command["seconds"].get<double>()) {
    auto info = answer(model, command);
    spent += info.generate_seconds;
    tokens += info.generated_tokens - 1;
  }
  return {{"rate", tokens / spent}};
}

Json prefill(const lm::LanguageModel& model, Json command) {
  command["new"] = 1;
  const bool processor = command.value("processor_time", false);
  double spent = 0, tokens = 0;
  while (spent < command["seconds"].get<double>()) {
    bench::Watch watch(processor);
    auto info = answer(model, command);
    spent += processor ? watch.seconds() : info.prompt_seconds;
    tokens += info.prompt_tokens;
  }
  return {{"rate", tokens / spent}};
}

// From a file that is in the system's cache to the first token, with nothing kept from before: how
// often a second.
Json first_token(const Json& command) {
  double spent = 0, times = 0;
  for (; spent < command["seconds"].get<double>(); ++times) {
    clear_plan_cache();
    clear_cache();
    bench::Watch watch(command.value("processor_time", false));
    lm::LanguageModel model = lm::load(command["model"].get<std::string>());
    answer(model, command);
    spent += watch.seconds();
  }
  return {{"rate", times / spent}};
}

// The likeliest next token after each of the given ones.
Json likeliest(const lm::LanguageModel& model, const Json& command) {
  auto ids = command["ids"].get<Ids>();
  PrecisionScope scope(precision_of(command));
  lm::Pass pass = model.model.new_pass(
      {.dtype = precision_of(command) == Precision::exact ? float32 : float16});
  pass.last_only = false;
  array row(ids.begin(), Shape{1, static_cast<int64_t>(ids.size())}, int32);
  array best = astype(argmax(model.model(row, pass), -1), int32);
  const int32_t* data = best.data<int32_t>();
  return {{"ids", Ids(data, data + best.size())}};
}

uint64_t weight_bytes(const lm::LanguageModel& model) {
  lm::Model copy = model.model;
  uint64_t bytes = 0;
  copy.parameters([&](const std::string&, array& a) { bytes += a.nbytes(); });
  return bytes;
}

Json machine() {
  MachineInfo m = machine_info();
  measure_bandwidth(m);
  return {{"processor", m.processor},
          {"isa", m.isa},
          {"threads", m.threads},
          {"read_bandwidth_1", m.read_bandwidth_1},
          {"read_bandwidth_all", m.read_bandwidth_all}};
}

Json perform(const Json& command, lm::LanguageModel& model, bench::Workload& work,
             bench::TrainWork& training) {
  auto what = command["do"].get<std::string>();
  if (what == "machine") return machine();
  if (what == "load") {
    model = lm::load(command["model"].get<std::string>());
    model.stop_ids.clear();
    return {{"weight_bytes", weight_bytes(model)}, {"name", model.name}};
  }
  if (what == "greedy") {
    Ids ids;
    answer(model, command, &ids);
    return {{"ids", ids}};
  }
  if (what == "encode")
    return {{"ids", model.tokenizer.encode(command["text"].get<std::string>())}};
  if (what == "likeliest") return likeliest(model, command);
  if (what == "decode") return decode(model, command);
  if (what == "prefill") return prefill(model, command);
  if (what == "first_token") return first_token(command);
  if (what == "rate") return {{"rate", work.rate(command)}};
  if (what == "prepare") {
    work.prepare(command);
    return Json::object();
  }
  if (what == "prepare_training") {
    training.prepare(model, command);
    return Json::object();
  }
  if (what == "train") return training.rate(command);
  throw ValueError("[compare_driver] unknown command " + what + ".");
}

}  // namespace

int main() {
  lm::LanguageModel model;
  bench::Workload work;
  bench::TrainWork training;
  commands::answer([&](const Json& command) { return perform(command, model, work, training); });
}
