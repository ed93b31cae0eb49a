// Several conversations with one loaded model at once, each on a thread of its own.
#include <gtest/gtest.h>

#include <chrono>
#include <stop_token>
#include <thread>

#include "default_model.h"
#include "runtime/eval.h"

namespace tarn_test {
namespace {

class DefaultModelThreads : public DefaultModel {};

// Each thread takes another way through the same tokens: the answer in one go, or in two with the
// keys and values copied in between. Few tokens: under the thread sanitizer each takes a second.
TEST_F(DefaultModelThreads, GenerateAtOnceEachWithItsSession) {
  const Ids prompt{1};
  const LanguageModel lm = endless();
  const Ids want = collect(generate(lm, prompt, exact(2))).ids;
  ASSERT_EQ(want.size(), 2u);
  const Ids longer{prompt[0], want[0]};
  auto whole = [&] { EXPECT_EQ(collect(generate(lm, prompt, exact(2))).ids, want); };
  auto in_two = [&] {
    LanguageModel mine = lm;
    Session session;
    EXPECT_EQ(collect(generate(mine, prompt, exact(1), &session)).ids, Ids{want[0]});
    Session copy = session;
    EXPECT_EQ(collect(generate(mine, longer, exact(1), &session)).ids, Ids{want[1]});
    EXPECT_EQ(collect(generate(mine, longer, exact(1), &copy)).ids, Ids{want[1]});
  };
  std::jthread clearing([](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      tarn::clear_plan_cache();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  std::jthread one(whole), another(in_two);
}

}  // namespace
}  // namespace tarn_test
