// JSON to the variables of a rendering.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tarn/lm/chat_template.h"

namespace tarn::lm::jinja {

// As ChatTemplate::render_marked, for callers inside the library that hold the JSON as a value.
RenderedPrompt render(const ChatTemplate::Impl& program, const nlohmann::ordered_json& variables,
                      const TemplateBudget& budget);

}  // namespace tarn::lm::jinja
