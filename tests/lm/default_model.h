// The default model, loaded once for each program, and the golden data that belong to it
// (tests/golden/make_model.py).
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "answers.h"
#include "base/json.h"
#include "golden.h"
#include "tarn/lm.h"
#include "tarn/ops.h"

namespace tarn_test {

using namespace tarn::lm;
using tarn::Json;
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

}  // namespace tarn_test
