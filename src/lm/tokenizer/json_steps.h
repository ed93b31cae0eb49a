// The steps around a model, from a tokenizer.json.
#pragma once

#include <vector>

#include "lm/tokenizer/decoder.h"
#include "lm/tokenizer/json.h"
#include "lm/tokenizer/normalizer.h"
#include "lm/tokenizer/parts.h"
#include "lm/tokenizer/words.h"

namespace tarn::lm::tokenizer {

inline constexpr size_t kMostSteps = 64;  // of one kind, however they are nested

// `normalizer`: steps in order.
void append_normalizers(const Json& json, std::vector<Normalizer>& out);

struct Splitting {
  std::vector<Splitter> splitters{};
  bool byte_level = false;  // the words are bytes for a byte-level model
  // Makes the words what they are to any other model.
  void spell_bytes() {
    splitters.push_back(tokenizer::spell_bytes());
    byte_level = false;
  }
};
// `pre_tokenizer`.
void append_splitters(const Json& json, Splitting& out);

// `decoder`.
void append_decoders(const Json& json, Decoder& out);

// `post_processor`: fills parts.prefix and parts.suffix.
void read_post_processor(const Json& json, Parts& parts);

}  // namespace tarn::lm::tokenizer
