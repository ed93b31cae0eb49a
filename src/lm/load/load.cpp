#include "lm/load/load.h"

#include <malloc.h>

#include <cstdlib>
#include <future>

#include "base/cache_folder.h"
#include "base/require.h"
#include "lm/load/room.h"
#include "tarn/stop.h"

namespace tarn::lm {

ModelFiles open_model(const std::filesystem::path& path) {
  require<FileError>(std::filesystem::exists(path),
                     "[load] {} does not exist. Give a GGUF file, a folder with config.json, or "
                     "run `make chat` once to fetch the default model.",
                     path.string());
  return std::filesystem::is_directory(path) ? open_model_folder(path) : open_gguf_model(path);
}

LanguageModel load(const std::filesystem::path& path, const LoadOptions& options) {
  auto check_stop = [&] {
    require<Cancelled>(!options.stop.stop_requested(), "[load] stopped on request.");
  };
  StopScope stop(options.stop);
  RoomCheck room(path, options);
  room.of_files();
  ModelFiles files = open_model(path);
  check_stop();
  room.of_weights(files);
  // A vocabulary keeps one thread as busy as the weights keep the others.
  auto about = std::async(std::launch::async | std::launch::deferred, files.about);
  Model model = build_model(files.checkpoint());
  check_stop();
  LanguageModel lm = about.get();
  lm.model = std::move(model);
#if defined(__GLIBC__)
  malloc_trim(0);  // what reading a vocabulary took: some megabytes
#endif
  if (options.progress) options.progress(room.file_bytes(), room.file_bytes());
  if (lm.chat_template) lm.tool_call_format = infer_tool_call_format(lm.chat_template->source());
  return lm;
}

std::filesystem::path cache_folder() { return tarn::cache_folder(); }

std::filesystem::path default_model_path() {
  if (const char* model = std::getenv("TARN_MODEL"); model && *model) return model;
  return cache_folder() / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf";
}

}  // namespace tarn::lm
