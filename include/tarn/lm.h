// Language models: load, talk, sample.
#pragma once

#include "tarn/lm/chat_session.h"
#include "tarn/lm/chat_template.h"
#include "tarn/lm/container.h"
#include "tarn/lm/engine.h"
#include "tarn/lm/factory.h"
#include "tarn/lm/generate.h"
#include "tarn/lm/hub.h"
#include "tarn/lm/hub_cache.h"
#include "tarn/lm/load.h"
#include "tarn/lm/logits.h"
#include "tarn/lm/model.h"
#include "tarn/lm/model_registry.h"
#include "tarn/lm/parameters.h"
#include "tarn/lm/sample.h"
#include "tarn/lm/tokenizer.h"
#include "tarn/lm/tools.h"
