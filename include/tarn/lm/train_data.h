// Examples to train on and to judge by, from files in the formats of mlx-lm.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tarn/lm/load.h"

namespace tarn::lm {

// One example as the model sees it.
struct TrainSample {
  std::vector<int32_t> ids{};
  std::vector<uint8_t> counts{};  // 1 where predicting the token counts; never for the first
  int64_t line = 0;               // of the set's file, from 1 on

  int64_t counted() const;
};

struct TrainSet {
  std::string file{};
  std::vector<TrainSample> samples{};

  int64_t tokens() const;
  int64_t counted() const;
  // "my.jsonl, line 3", for errors.
  std::string place(size_t sample) const;
};

struct TrainDataOptions {
  bool mask_prompt = false;   // only what the assistant says counts
  int64_t max_tokens = 2048;  // longer examples are cut; the model's context, where that is less
  bool pack = false;         // examples follow each other in rows of max_tokens, and see each other
  double valid_share = 0.1;  // of the examples, where there is no file of their own for it
  uint64_t seed = 0;         // decides which
};

struct TrainData {
  TrainSet train{}, valid{}, test{};  // test: empty where there is none
  // What was split, cut, packed and left out, and what looks like a mistake; a sentence each.
  std::vector<std::string> notes{};
};

// Reads a file of examples, which is divided, or a folder with train.jsonl and perhaps valid.jsonl
// and test.jsonl. A line is one of
//   {"messages": [{"role": "user", "content": "…"}, …], "tools": […]}   tools may be absent
//   {"prompt": "…", "completion": "…"}                                  a chat of two messages
//   {"text": "…"}                                                       as it stands, and an end
// Everything is read and checked. Throws FileError that names file, line and column.
TrainData load_train_data(const std::filesystem::path& path, const LanguageModel& lm,
                          const TrainDataOptions& options = {});
// One file, whole. Notes are added to `notes`.
TrainSet load_train_set(const std::filesystem::path& file, const LanguageModel& lm,
                        const TrainDataOptions& options, std::vector<std::string>& notes);

}  // namespace tarn::lm
