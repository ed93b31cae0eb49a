// Gemma 3 270M in a file of llama.cpp (Q5_0, Q8_0, Q4_K and Q6_K blocks) beside transformers; see
// tests/golden/make_gemma.py for where the file is from.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/text.h"
#include "default_model.h"

namespace tarn_test {
namespace {

fs::path gemma_path() {
  const char* path = std::getenv("TARN_TEST_GEMMA");
  return path && *path ? fs::path(path) : cache_folder() / "models/gemma-3-270m-Q4_K_M.gguf";
}

TEST(Gemma, ContinuesPromptsAsTransformersDoes) {
  if (!fs::exists(gemma_path())) GTEST_SKIP() << gemma_path() << " is missing.";
  LanguageModel lm = load(gemma_path());
  lm.stop_ids.clear();
  Json golden_data = tarn::load_json(golden("lm/gemma.json").string());
  ASSERT_EQ(golden_data.size(), 10u);
  int same = 0;
  for (const Json& p : golden_data) {
    Answer answer = collect(generate(lm, p["ids"].get<Ids>(), exact(48)));
    bool equal = answer.ids == p["answer"].get<Ids>();
    same += equal ? 1 : 0;
    if (!equal)
      fmt::print("\"{}\" differs; the closest choice there is {} apart\n",
                 p["prompt"].get<std::string>(), p["smallest_margin"].get<double>());
  }
  fmt::print("{} of 10 continued with the same 48 tokens\n", same);
  EXPECT_GE(same, 9);
}

}  // namespace
}  // namespace tarn_test
