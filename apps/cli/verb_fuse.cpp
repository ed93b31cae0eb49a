#include <unistd.h>

#include "base/text.h"
#include "model_options.h"
#include "tarn/lm/convert.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {

int fuse(const Words& words) {
  std::string from, to;
  std::vector<std::string> adapters;
  bool dequantise = false;
  Arguments arguments("tarn fuse", "Writes a model with adapters folded into its weights.");
  arguments.text("model", from, "a folder with safetensors, or a GGUF file");
  arguments.texts("-a,--adapter,--adapter-path", adapters,
                  "a folder with an adapter; may be given several times");
  arguments.text("-o,--out,--save-path", to,
                 "what to write: a folder, or a GGUF file when it ends in .gguf");
  arguments.flag("--dequantise,--dequantize", dequantise,
                 "write dense weights; without it quantised ones are quantised as before");
  if (!parse_or_help(arguments, words)) return 0;
  if (from.empty() || to.empty() || adapters.empty())
    throw UsageError(
        "[fuse] give the model, one or more --adapter and, with --out, what to write.");
  lm::ConvertOptions options;
  options.dequantise = dequantise;
  options.adapters.assign(adapters.begin(), adapters.end());
  lm::convert(from, to, options);
  write_all(STDERR_FILENO, fmt::format("{} is written.\n", safe_text(to)), "standard error");
  return 0;
}

}  // namespace tarn::cli
