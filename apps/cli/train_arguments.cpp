#include "train_arguments.h"

#include <cstdlib>
#include <filesystem>

#include "base/text.h"

namespace tarn::cli {

namespace fs = std::filesystem;

void TrainArguments::add_to(Arguments& a) {
  model.add_to(a);
  a.text("-d,--data", data,
         "a .jsonl file, or a folder with train.jsonl, valid.jsonl and test.jsonl;\na line is "
         "{\"messages\": […]}, {\"prompt\": …, \"completion\": …} or {\"text\": …}");
  a.text("-o,--out", folder, "the folder for the adapter, checkpoints, log and report");
  a.flag("--resume", resume, "goes on where a run in that folder stopped, however it did");
  a.choice("--mode", mode, {"lora", "dora", "qlora", "full"},
           "what trains: lora, dora, qlora (lora on a quantised model only)\nor full (all dense "
           "weights)");
  a.number("--rank", rank, "of the adapter", {1, 4096});
  a.number("--scale", scale, "what the adapter's product is multiplied by", {0});
  a.number("--dropout", dropout, "of the adapter's inputs", {0, 0.99});
  a.number("--num-layers", layers, "the last so many layers; -1: all", {-1, 100000});
  a.text("--keys", keys,
         "matrices of a layer, apart by commas, as self_attn.q_proj (default: all)");
  a.flag("--mask-prompt", mask_prompt, "only the answers count");
  a.number("--max-tokens", max_tokens, "longer examples are cut", {2});
  a.flag("--pack", pack, "joins examples to rows of --max-tokens");
  a.number("--steps", steps, "0: as many as --epochs take", {0});
  a.number("--epochs", epochs, "how often each example is seen", {0.001});
  a.number("--batch-size", batch_size, "examples that are computed together", {1, 65536});
  a.number("--accumulate", accumulate, "batches that make one step", {1, 65536});
  a.number("--tokens-at-once", tokens_at_once,
           "that a batch is computed in parts of; fewer take less memory", {1});
  a.choice("--optimizer", optimizer, {"adam", "adamw", "sgd", "muon", "adafactor", "lion"},
           "adam, adamw, sgd, muon, adafactor or lion");
  a.number("--learning-rate", learning_rate, "at its highest", {0});
  a.choice("--schedule", schedule, {"constant", "cosine", "linear", "exponential"},
           "how the rate falls to a tenth: cosine, linear or exponential; or constant");
  a.number("--warmup", warmup, "steps in which the rate rises", {0});
  a.number("--weight-decay", weight_decay, "of the optimizer", {0, 0.999});
  a.number("--clip", clip, "the gradient's norm at most; 0: as it is", {0});
  a.number("--steps-per-eval", steps_per_eval, "0: ten times in the run", {0});
  a.number("--validation-batches", validation_batches, "at most; 0: all", {0});
  a.number("--patience", patience, "validations without a better loss that end the run; 0: none",
           {0});
  a.number("--steps-per-save", steps_per_save, "0: with each validation", {0});
  a.number("--seed", seed, "of the split, the order and the adapter's start (default: 0)");
  a.flag("--recompute", recompute, "less memory, a third slower: layers are computed again");
  a.choice("--compute", compute, {"auto", "float32", "bfloat16"},
           "what products with the model's weights are computed in");
  a.footer("Example:\n  tarn train --data my.jsonl\n");
}

lm::TrainDataOptions TrainArguments::data_options() const {
  return {
      .mask_prompt = mask_prompt, .max_tokens = max_tokens, .pack = pack, .seed = seed.value_or(0)};
}

lm::TrainOptions TrainArguments::options() const {
  lm::TrainOptions o;
  o.optimizer = optimizer, o.schedule = schedule;
  // As typed, not the float nearest to it: 0.002.
  o.learning_rate = std::stod(fmt::format("{}", learning_rate));
  o.weight_decay = std::stod(fmt::format("{}", weight_decay));
  o.clip = static_cast<double>(clip), o.epochs = std::stod(fmt::format("{}", epochs));
  o.steps = steps, o.warmup = warmup, o.batch_size = batch_size, o.accumulate = accumulate;
  o.recompute = recompute, o.tokens_at_once = tokens_at_once, o.steps_per_eval = steps_per_eval;
  o.validation_batches = validation_batches, o.patience = patience;
  o.steps_per_save = steps_per_save, o.seed = seed.value_or(0), o.folder = folder;
  o.about = fmt::format("{} of rank {}, scale {}, dropout {}, {} layers, keys {}", mode, rank,
                        scale, dropout, layers, keys.empty() ? "all" : keys);
  if (compute != "auto")
    o.compute = compute == "float32" ? lm::ComputeIn::float32 : lm::ComputeIn::bfloat16;
  return o;
}

void TrainArguments::check() const {
  if (layers == 0)
    throw UsageError("--num-layers: 0 layers leave nothing to train; -1 stands for all.");
  lm::check(options());
}

lm::LoRAConfiguration TrainArguments::configuration() const {
  lm::LoRAConfiguration c;
  c.fine_tune_type = mode == "qlora" ? "lora" : mode;
  c.num_layers = layers;
  c.lora_parameters = {.rank = rank, .scale = scale, .dropout = dropout};
  if (keys.empty()) return c;
  c.lora_parameters.keys.emplace();
  for (size_t at = 0; at <= keys.size();) {
    size_t end = std::min(keys.find(',', at), keys.size());
    c.lora_parameters.keys->push_back(keys.substr(at, end - at));
    at = end + 1;
  }
  return c;
}

std::optional<std::string> file_to_judge_by(const std::string& folder) {
  std::error_code error;
  for (const char* name : {"test.jsonl", "valid.jsonl"})
    if (auto file = fs::path(folder) / name; fs::exists(file, error)) return file.string();
  return std::nullopt;
}

namespace {

bool is_quantised(const lm::LanguageModel& lm) {
  bool any = false;
  lm::Model model = lm.model;
  model.matrices([&](const std::string&, nn::Matrix& m) { any = any || m.quantised(); });
  return any;
}

void check_mode(const std::string& mode, const lm::LanguageModel& lm) {
  bool quantised = is_quantised(lm);
  if (mode == "qlora" && !quantised)
    throw UsageError(lm.name +
                     " has dense weights: qlora needs quantised ones. `tarn convert` "
                     "makes them; --mode lora trains on these.");
  if (mode == "full" && quantised)
    throw UsageError(lm.name +
                     " has quantised weights, which cannot be trained: full needs dense "
                     "ones. Take the model's own files, or --mode lora.");
}

// Whole parameters of the last `layers` layers (negative: of all), as the adapter's file holds
// them.
nn::Where of_layers(const lm::LanguageModel& lm, int layers) {
  int64_t first = layers < 0 ? 0 : lm.model.shape().layers - layers;
  return [first](const std::string& path, const array&) {
    size_t at = path.find("layers.");
    return at != std::string::npos && std::atoll(path.c_str() + at + 7) >= first;
  };
}

}  // namespace

Prepared prepared(const TrainArguments& given, const lm::LanguageModel& base) {
  check_mode(given.mode, base);
  Prepared p{
      base, lm::LoRAContainer::from(base, given.configuration(), given.seed.value_or(0)), {}};
  p.adapter.load(p.lm);
  if (given.mode == "full") p.where = of_layers(base, given.layers);
  return p;
}

}  // namespace tarn::cli
