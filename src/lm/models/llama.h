// The Llama family: Llama 2 and 3, SmolLM, Mistral and others of the same shape.
#pragma once

#include "lm/models/architecture.h"

namespace tarn::lm {
Architecture llama();
}
