#include <unistd.h>

#include "adapter_options.h"
#include "answer_output.h"
#include "base/json.h"
#include "base/json_text.h"
#include "conversation.h"
#include "tarn/distributed.h"
#include "tarn/memory.h"
#include "terminal.h"
#include "together.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct GenerateArguments {
  ModelOptions model{};
  AnswerOptions answer{};
  AdapterOptions adapters{};
  std::string prompt{}, system{};
  std::vector<std::string> stops{};
  bool is_raw = false, wants_json = false;
};

std::vector<int32_t> prompt_ids(const lm::LanguageModel& lm, const GenerateArguments& given,
                                const distributed::Group& group) {
  std::string prompt = given.prompt;
  if (prompt == "-")
    prompt = from_first(group, group.rank() == 0 ? read_standard_input() : std::string());
  if (given.is_raw) {
    return lm.tokenizer.encode(prompt, {.add_special_tokens = true, .parse_special = true});
  }
  std::vector<lm::Message> messages;
  if (!given.system.empty()) messages.push_back({"system", given.system});
  messages.push_back({"user", prompt});
  return lm.encode_chat(messages);
}

// The whole of an answer, for --json.
struct Collected {
  std::string text{};
  std::vector<int32_t> ids{};
  std::vector<double> log_probs{};
  AnswerStatistics statistics{};
};

std::string to_json(const std::vector<int32_t>& prompt, const Collected& all) {
  const lm::GenerationInfo& info = all.statistics.info;
  OrderedJson out;
  out["prompt_ids"] = prompt;
  out["generated_ids"] = all.ids;
  out["text"] = all.text;
  out["logprobs"] = all.log_probs;
  out["stats"] = {{"finish_reason", info.finish_reason},
                  {"prompt_tokens", info.prompt_tokens},
                  {"generated_tokens", info.generated_tokens},
                  {"first_token_seconds", all.statistics.first_token_seconds},
                  {"prompt_seconds", info.prompt_seconds},
                  {"generate_seconds", info.generate_seconds},
                  {"prompt_tokens_per_second", info.prompt_tokens_per_second()},
                  {"tokens_per_second", info.tokens_per_second()},
                  {"anonymous_memory_bytes", anonymous_memory()},
                  {"peak_array_bytes", get_peak_memory()}};
  return json_text(out) + "\n";
}

// All ranks of a group compute the answer; the first writes it.
int answer(lm::LanguageModel lm, const GenerateArguments& given, const distributed::Group& group) {
  InterruptScope interrupt;
  lm::GenerateParameters options = given.answer.to_generate();
  options.adapter = given.adapters.load_into(lm);
  options.stop_strings = given.stops;
  options.stop = interrupt.token();
  options.log_probabilities = given.wants_json;
  if (group.size() > 1 && !options.seed) options.seed = common_seed(group);
  double start = now_seconds();
  std::vector<int32_t> prompt = prompt_ids(lm, given, group);
  AnswerOutput output(STDOUT_FILENO);
  Collected all;
  for (const lm::Event& event : lm::generate(lm, prompt, options)) {
    if (event.kind == lm::Event::Kind::info) {
      all.statistics.info = event.info;
      continue;
    }
    if (all.ids.empty()) all.statistics.first_token_seconds = now_seconds() - start;
    all.ids.insert(all.ids.end(), event.ids.begin(), event.ids.end());
    all.log_probs.insert(all.log_probs.end(), event.log_probs.begin(), event.log_probs.end());
    if (given.wants_json) {
      all.text += event.text;
    } else if (group.rank() == 0) {
      output.write(event.text);
    }
  }
  int status = all.statistics.info.finish_reason == "cancelled" ? 130 : 0;
  if (group.rank() != 0) return status;
  if (given.wants_json) {
    write_all(STDOUT_FILENO, to_json(prompt, all), "standard output");
  } else {
    output.finish();
  }
  Terminal terminal(STDERR_FILENO);
  if (terminal.is_terminal()) {
    std::string line = cut_to_width(all.statistics.line(), terminal.columns() - 1);
    say(terminal.styled(Style::dim, line) + "\n");
  }
  return status;
}

}  // namespace

int generate(const Words& words) {
  GenerateArguments given;
  Arguments arguments("tarn generate", "Answers one prompt.");
  given.model.add_to(arguments);
  given.adapters.add_to(arguments);
  arguments.text("-p,--prompt", given.prompt, "the user's message; - reads standard input");
  arguments.text("-s,--system", given.system, "what the model is told before it");
  arguments.flag("--raw", given.is_raw, "the prompt as it stands, without the chat template");
  arguments.texts("--stop", given.stops, "a text that ends the answer; may be given several times");
  given.answer.add_to(arguments);
  arguments.flag("--json", given.wants_json,
                 "one object: prompt_ids, generated_ids, text, logprobs, stats");
  if (!parse_or_help(arguments, words)) return 0;
  if (!arguments.was_given("--prompt")) {
    throw UsageError("tarn generate needs --prompt TEXT, or --prompt - for standard input.");
  }
  if (given.is_raw && !given.system.empty()) {
    throw UsageError("--system is part of the chat template, which --raw switches off.");
  }
  given.answer.to_generate();
  distributed::Group group = distributed::init();
  check_together(group, given.adapters);
  return answer(load_model(given.model, &group), given, group);
}

}  // namespace tarn::cli
