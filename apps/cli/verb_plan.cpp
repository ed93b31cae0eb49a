#include <unistd.h>

#include <algorithm>

#include "base/json.h"
#include "base/json_text.h"
#include "base/text.h"
#include "hub_verbs.h"
#include "model_options.h"
#include "tarn/lm/plan.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct PlanArguments {
  ModelOptions model{};
  int context = 0, batch = 1, cache_bits = 0, cache_size = 0;
  std::string precision = "balanced";
  bool wants_json = false;

  lm::PlanOptions options() const {
    lm::PlanOptions o{.context = context, .batch = batch};
    if (cache_bits > 0) o.parameters.kv_bits = cache_bits;
    if (cache_size > 0) o.parameters.max_kv_size = cache_size;
    o.parameters.precision = precision == "exact" ? Precision::exact : Precision::balanced;
    return o;
  }
};

std::string as_json(const lm::MemoryPlan& p, const lm::MemoryRoom& room) {
  OrderedJson out = {{"name", p.name},
                     {"context", p.context},
                     {"batch", p.batch},
                     {"mapped_bytes", p.mapped},
                     {"mapped_used_bytes", p.mapped_used},
                     {"weight_bytes", p.weights},
                     {"tokenizer_bytes", p.tokenizer},
                     {"cache_bytes", p.cache},
                     {"workspace_bytes", p.workspace},
                     {"own_bytes", p.own()},
                     {"needed_bytes", p.needed()},
                     {"free_bytes", room.memory},
                     {"free_in", room.memory_limit},
                     {"fits", fits(p, room)}};
  return json_text(out, 2) + "\n";
}

std::string as_text(const lm::MemoryPlan& p, const lm::MemoryRoom& room) {
  auto row = [](const char* name, uint64_t bytes, const std::string& what) {
    return std::vector<std::string>{name, bytes_text(static_cast<double>(bytes)), what};
  };
  std::string answers = p.batch == 1 ? "an answer" : fmt::format("{} answers", p.batch);
  std::vector<std::vector<std::string>> rows{
      row("weights", p.weights, "repacked or decoded from the file"),
      row("in the file", p.mapped_used,
          fmt::format("weights used as they lie there; {} are mapped",
                      bytes_text(static_cast<double>(p.mapped)))),
      row("tokenizer", p.tokenizer, "with the chat template"),
      row("cache", p.cache,
          fmt::format("keys and values of {} of {} positions", answers, p.context)),
      row("workspace", p.workspace, "of the longest prompt, at its peak"),
      row("needed", p.needed(),
          fmt::format("{} are free in {}: it {}", bytes_text(static_cast<double>(room.memory)),
                      room.memory_limit, fits(p, room) ? "fits" : "does not fit"))};
  return safe_text(p.name) + "\n" + safe_text(table(rows, {1}));
}

}  // namespace

int plan(const Words& words) {
  PlanArguments given;
  Arguments arguments("tarn plan",
                      "How much memory a model takes. Its weights are not loaded for that.");
  arguments.text("MODEL", given.model.path, "what --model of the other verbs takes");
  arguments.number("--context", given.context,
                   "positions of an answer with its prompt; 0: as many as the model knows",
                   {0, 1 << 30});
  arguments.number("--batch", given.batch, "answers at a time", {1, 15});
  arguments.number("--cache-bits", given.cache_bits,
                   "keys and values quantised: 2, 3, 4, 5, 6 or 8; 0: float16", {0, 8});
  arguments.number("--cache-size", given.cache_size, "positions remembered at most; 0: all",
                   {0, 1 << 30});
  arguments.choice("--precision", given.precision, {"balanced", "exact"},
                   "exact: keys and values in float32");
  arguments.flag("--offline", given.model.is_offline, "uses what is in the cache, asks no hub");
  arguments.flag("--json", given.wants_json, "one object, in bytes");
  if (!parse_or_help(arguments, words)) return 0;
  lm::MemoryPlan plan = lm::plan(given.model.fetch(given.model.configuration()), given.options());
  lm::MemoryRoom room = lm::memory_room();
  write_all(STDOUT_FILENO, given.wants_json ? as_json(plan, room) : as_text(plan, room),
            "standard output");
  return 0;
}

}  // namespace tarn::cli
