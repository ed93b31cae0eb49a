// Answers, collected for comparing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "error_of.h"
#include "tarn/error.h"
#include "tarn/lm/generate.h"

namespace tarn_test {

using namespace tarn::lm;
using tarn::Precision;
using Ids = std::vector<int32_t>;

struct Answer {
  Ids ids{};
  std::string text{};
  GenerationInfo info{};
  std::vector<ToolCall> calls{};
};

inline Answer collect(Generation generation) {
  Answer a;
  for (const Event& e : generation) {
    a.ids.insert(a.ids.end(), e.ids.begin(), e.ids.end());
    a.text += e.text;
    if (e.kind == Event::Kind::tool_call) a.calls.push_back(e.call);
    if (e.kind == Event::Kind::info) a.info = e.info;
  }
  return a;
}

inline GenerateParameters exact(int max_tokens) {
  return {.max_tokens = max_tokens, .temperature = 0, .precision = Precision::exact};
}

}  // namespace tarn_test
