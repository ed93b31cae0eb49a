// Vocabularies on their way between folders and GGUF files.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "lm/load/load.h"
#include "tarn/io.h"

namespace tarn::lm {

// The vocabulary of a folder in the form of GGUF, with a token for each of the model's rows. Throws
// FileError for one that GGUF has no form for.
Vocabulary vocabulary_of_folder(const std::filesystem::path& folder, int64_t rows,
                                const Json& config);
void add_vocabulary(std::unordered_map<std::string, GGUFMetaData>& to, const Vocabulary& v);

// Writes what a GGUF file says of text into a folder: tokenizer.json or, for SentencePiece's
// vocabularies, tokenizer.model; tokenizer_config.json with the names of special tokens and the
// chat template. `note` is told of a vocabulary that neither file can hold.
void write_vocabulary(const std::filesystem::path& folder, const GgufFile& file,
                      const std::function<void(const std::string&)>& note);

}  // namespace tarn::lm
