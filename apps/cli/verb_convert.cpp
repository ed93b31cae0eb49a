#include <unistd.h>

#include "base/require.h"
#include "model_options.h"
#include "tarn/lm/convert.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct ConvertArguments {
  std::string from{}, to{}, mode = "affine", dtype{}, recipe{};
  int bits = 0, group = 0;
  bool dequantise = false;
};

lm::ConvertOptions options_of(const ConvertArguments& given, const Arguments& arguments) {
  lm::ConvertOptions o;
  o.recipe = given.recipe;
  o.dequantise = given.dequantise;
  if (given.dtype == "float32") o.dtype = float32;
  if (given.dtype == "float16") o.dtype = float16;
  if (given.dtype == "bfloat16") o.dtype = bfloat16;
  if (given.bits > 0 || given.group > 0 || arguments.was_given("--mode")) {
    o.quantization = nn::Quantization{.mode = given.mode};
    if (given.bits > 0) o.quantization->bits = given.bits;
    if (given.group > 0) o.quantization->group_size = given.group;
  }
  return o;
}

}  // namespace

int convert(const Words& words) {
  ConvertArguments given;
  Arguments arguments("tarn convert", "Write a model's files in another form.");
  arguments.text("model", given.from, "a folder with safetensors, or a GGUF file");
  arguments.text("-o,--out", given.to,
                 "what to write: a folder, or a GGUF file when it ends in .gguf");
  arguments.number("--bits", given.bits, "quantise to 2, 3, 4, 5, 6 or 8 bits", {2, 8});
  arguments.number("--group", given.group,
                   "numbers that share a scale: 32, 64 or 128; nvfp4 has 16", {16, 128});
  arguments.choice("--mode", given.mode, {"affine", "mxfp4", "nvfp4", "mxfp8"},
                   "how numbers are quantised");
  arguments.choice("--recipe", given.recipe, {"mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"},
                   "more bits for the layers that need them");
  arguments.choice("--dtype", given.dtype, {"float32", "float16", "bfloat16"},
                   "of what is not quantised");
  arguments.flag("--dequantise,--dequantize", given.dequantise, "write dense weights");
  if (!arguments.parse(words)) {
    write_all(STDOUT_FILENO, arguments.help(), "standard output");
    return 0;
  }
  if (given.from.empty() || given.to.empty())
    throw UsageError("[convert] give the model and, with --out, what to write.");
  lm::ConvertOptions options = options_of(given, arguments);
  options.note = [](const std::string& text) { say_line(text); };
  InterruptScope interrupt;
  options.stop = interrupt.token();
  lm::convert(given.from, given.to, options);
  say(fmt::format("{} is written.\n", safe_text(given.to)));
  return 0;
}

}  // namespace tarn::cli
