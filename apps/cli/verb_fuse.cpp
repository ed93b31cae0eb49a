#include "base/text.h"
#include "model_options.h"
#include "tarn/lm/convert.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

int fold_in(const std::string& verb, const Words& words) {
  std::string from, to;
  std::vector<std::string> adapters;
  lm::ConvertOptions options;
  Arguments arguments("tarn " + verb, "Writes a model with adapters folded into its weights.");
  arguments.text("model", from, "a folder with safetensors, or a GGUF file");
  arguments.texts("-a,--adapter,--adapter-path", adapters,
                  "a folder with an adapter; may be given several times");
  arguments.text("-o,--out,--save-path", to,
                 "what to write: a folder, or a GGUF file when it ends in .gguf");
  arguments.flag("--dequantise,--dequantize", options.dequantise,
                 "write dense weights; without it quantised ones are quantised as before");
  arguments.flag("--any-base", options.any_base, "adapters may be made for another model");
  if (!parse_or_help(arguments, words)) return 0;
  if (from.empty() || to.empty() || adapters.empty())
    throw UsageError("[" + verb +
                     "] give the model, one or more --adapter and, with --out, what to write.");
  options.adapters.assign(adapters.begin(), adapters.end());
  options.note = [](const std::string& text) { say_line(text); };
  InterruptScope interrupt;
  options.stop = interrupt.token();
  lm::convert(from, to, options);
  say(fmt::format("{} is written.\n", safe_text(to)));
  return 0;
}

}  // namespace

int fuse(const Words& words) { return fold_in("fuse", words); }
int merge(const Words& words) { return fold_in("merge", words); }

}  // namespace tarn::cli
