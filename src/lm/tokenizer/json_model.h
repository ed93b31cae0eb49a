// The model of a tokenizer.json with its vocabulary.
#pragma once

#include "lm/tokenizer/json.h"
#include "lm/tokenizer/json_steps.h"
#include "lm/tokenizer/parts.h"

namespace tarn::lm::tokenizer {

// Fills parts.tokens, parts.model and parts.unk. A model that takes no bytes makes `splitting`
// spell them.
void read_model(const Json& json, Splitting& splitting, Parts& parts);

// An id of this file, checked.
int32_t token_id(const Json& json, int64_t id);

}  // namespace tarn::lm::tokenizer
