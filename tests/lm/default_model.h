// The default model, loaded once for each program, and the golden data that belong to it
// (tests/golden/make_model.py).
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "golden.h"
#include "tarn/lm.h"
#include "tarn/ops.h"

namespace tarn_test {

using namespace tarn::lm;
using tarn::Json;
using tarn::Precision;
using Ids = std::vector<int32_t>;
namespace fs = std::filesystem;

inline fs::path model_path() {
  const char* path = std::getenv("TARN_TEST_MODEL");
  return path && *path ? fs::path(path) : default_model_path();
}

inline bool in_ci() {
  const char* ci = std::getenv("CI");
  return ci && std::string(ci) == "true";
}

// Loaded once for the whole program: the tests only read it.
class DefaultModel : public testing::Test {
 protected:
  void SetUp() override {
    if (fs::exists(model_path())) return;
    if (in_ci()) FAIL() << model_path() << " is missing.";
    GTEST_SKIP() << model_path() << " is missing; tools/fetch_model.py brings it.";
  }
  static const LanguageModel& model() {
    static const LanguageModel lm = load(model_path());
    return lm;
  }
  // It never ends an answer by itself.
  static LanguageModel endless() {
    LanguageModel lm = model();
    lm.stop_ids.clear();
    return lm;
  }
  static const Json& data() {
    static const Json json = tarn::load_json(golden("lm/model.json").string());
    return json;
  }
  static Ids prompt(size_t i) { return data()["prompts"][i]["prompt_ids"].get<Ids>(); }
};

struct Answer {
  Ids ids{};
  std::string text{};
  GenerationInfo info{};
};

inline Answer collect(Generation generation) {
  Answer a;
  for (const Event& e : generation) {
    a.ids.insert(a.ids.end(), e.ids.begin(), e.ids.end());
    a.text += e.text;
    if (e.kind == Event::Kind::info) a.info = e.info;
  }
  return a;
}

inline GenerateOptions exact(int max_tokens) {
  GenerateOptions o;
  o.max_tokens = max_tokens;
  o.precision = Precision::exact;
  return o;
}

}  // namespace tarn_test
