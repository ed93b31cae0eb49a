#include "lm/load/load.h"

#include <cstdlib>

#include "base/require.h"
#include "tarn/stop.h"

namespace tarn::lm {

LanguageModel load(const std::filesystem::path& path, const LoadOptions& options) {
  require<FileError>(std::filesystem::exists(path),
                     "[load] {} does not exist. Give a GGUF file, a folder with config.json, or "
                     "run `make chat` once to fetch the default model.",
                     path.string());
  StopScope stop(options.stop);
  LanguageModel lm = std::filesystem::is_directory(path) ? load_model_folder(path, options)
                                                         : load_gguf_model(path, options);
  if (lm.chat_template) lm.tool_call_format = infer_tool_call_format(lm.chat_template->source());
  return lm;
}

std::filesystem::path cache_folder() {
  auto from = [](const char* variable, const char* tail) -> std::filesystem::path {
    const char* value = std::getenv(variable);
    return value && *value ? std::filesystem::path(value) / tail : std::filesystem::path();
  };
  for (auto [variable, tail] : {std::pair{"TARN_CACHE", ""}, std::pair{"XDG_CACHE_HOME", "tarn"},
                                std::pair{"HOME", ".cache/tarn"}})
    if (auto path = from(variable, tail); !path.empty()) return path;
  return ".tarn-cache";
}

std::filesystem::path default_model_path() {
  if (const char* model = std::getenv("TARN_MODEL"); model && *model) return model;
  return cache_folder() / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf";
}

}  // namespace tarn::lm
