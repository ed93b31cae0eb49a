// A tokenizer from whatever file or folder holds one.
#include "base/file.h"
#include "base/require.h"
#include "tarn/gguf.h"
#include "tarn/lm/tokenizer.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargestFile = uint64_t{1} << 30;

std::string text_of(const fs::path& file) { return read_text(file.string(), kLargestFile); }

bool is_tiktoken(const fs::path& file, std::string_view text) {
  // Llama 3 names such a file tokenizer.model. A SentencePiece model begins with a line feed, the
  // tag of its first piece.
  return file.extension() == ".tiktoken" || (!text.empty() && text[0] != '\n');
}

Tokenizer from_one_file(const fs::path& file) {
  const std::string name = file.string();
  if (file.extension() == ".gguf") return Tokenizer::from_gguf(GgufFile::open(name));
  std::string text = text_of(file);
  if (file.extension() != ".json")
    return is_tiktoken(file, text) ? Tokenizer::from_tiktoken(text, name)
                                   : Tokenizer::from_sentence_piece(text, name);
  if (file.filename().string().starts_with("tekken")) return Tokenizer::from_tekken(text, name);
  fs::path config = file.parent_path() / "tokenizer_config.json";
  bool beside = file.filename() == "tokenizer.json" && fs::exists(config);
  return Tokenizer::from_json(text, name, beside ? text_of(config) : std::string());
}

}  // namespace

Tokenizer Tokenizer::from_file(const fs::path& path) {
  if (!fs::is_directory(path)) return from_one_file(path);
  constexpr std::string_view names[] = {"tokenizer.json", "tekken.json", "tokenizer.model",
                                        "spiece.model", "sentencepiece.bpe.model"};
  for (std::string_view name : names)
    if (fs::exists(path / name)) return from_one_file(path / name);
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.path().extension() == ".tiktoken") return from_one_file(entry.path());
  fail<FileError>(
      "[load] {} has no tokenizer: tokenizer.json, tekken.json, tokenizer.model or a "
      ".tiktoken file is needed.",
      path.string());
}

}  // namespace tarn::lm
