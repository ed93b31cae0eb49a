// Language models: load, talk, sample.
#pragma once

#include "tarn/lm/architecture.h"
#include "tarn/lm/cache.h"
#include "tarn/lm/chat_template.h"
#include "tarn/lm/convert.h"
#include "tarn/lm/generate.h"
#include "tarn/lm/load.h"
#include "tarn/lm/model.h"
#include "tarn/lm/sample.h"
#include "tarn/lm/tokenizer.h"
