// Research: what is kept, what is not, and going on after a kill.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>

#include "base/file.h"
#include "error_of.h"
#include "tarn/lm/research.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
namespace fs = std::filesystem;

class ResearchTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / ("tarn-research-" + std::to_string(getpid()) + "-" +
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::vector<Variant> variants(const std::string& text) {
    std::ofstream(folder_ / "v.json") << text;
    return read_variants(folder_ / "v.json");
  }
  std::string mistake(const std::string& text) {
    return error_in(folder_, [&] { variants(text); });
  }
  // 2, less 0.5 with the option "good" and 0.05 with "little"; seeds differ by 0.1 in all.
  static RunResult loss(const Trial& t, uint64_t seed) {
    return {2 - 0.5 * static_cast<double>(t.options.count("good")) -
            0.05 * static_cast<double>(t.options.count("little")) +
            0.05 * static_cast<double>(seed)};
  }

  fs::path folder_{};
};

constexpr const char* three = R"([{"name": "a little", "little": 1}, {"name": "good", "good": true},
                                  {"name": "both", "little": "x"}])";

TEST_F(ResearchTest, OnlyWhatIsBetterByMoreThanChanceIsKept) {
  auto all = variants(three);
  EXPECT_EQ(all[0].options, (VariantOptions{{"little", "1"}}));
  EXPECT_EQ(all[1].options, (VariantOptions{{"good", "true"}}));
  Research research(folder_ / "r", all);
  research.go([](const Trial& t, uint64_t seed) { return loss(t, seed); });
  ASSERT_EQ(research.trials().size(), 4u);
  std::vector<bool> kept;
  for (const Trial& t : research.trials()) kept.push_back(t.is_kept);
  EXPECT_EQ(kept, (std::vector<bool>{true, false, true, false}));
  EXPECT_EQ(research.best().name, "good");
  EXPECT_EQ(research.trials()[3].options, (VariantOptions{{"good", "true"}, {"little", "x"}}));
  EXPECT_EQ(research.leaderboard(),
            "     loss    spread  trial\n"
            "   1.5000    0.1000  both\n"
            "   1.5500    0.1000  good  (kept)\n"
            "   2.0000    0.1000  a little\n"
            "   2.0500    0.1000  as it is  (kept)\n");
  std::string page = tarn::read_text(research.page().string(), 1 << 20);
  EXPECT_NE(page.find("Validation loss by trial"), std::string::npos);
  EXPECT_EQ(page.find("<script"), std::string::npos);
}

TEST_F(ResearchTest, GoesOnWhereItStopped) {
  std::vector<std::string> runs;
  for (int stop_after : {1, 4, 100}) {
    Research research(folder_ / "r", variants(three));
    int done = 0;
    research.go([&](const Trial& t, uint64_t seed) -> std::optional<RunResult> {
      if (done++ == stop_after) return std::nullopt;
      runs.push_back(t.name + std::to_string(seed));
      return loss(t, seed);
    });
  }
  EXPECT_EQ(runs, (std::vector<std::string>{"as it is0", "as it is1", "as it is2", "a little0",
                                            "a little1", "a little2", "good0", "good1", "good2",
                                            "both0", "both1", "both2"}));
}

// It is not kept, its other seeds are not tried, and what comes after it is.
TEST_F(ResearchTest, RunsThatDivergeLose) {
  std::vector<std::string> runs;
  auto run = [&](const Trial& t, uint64_t seed) {
    runs.push_back(t.name + std::to_string(seed));
    bool diverges = t.name == "a little" && seed == 1;
    return diverges ? RunResult{std::numeric_limits<double>::infinity()} : loss(t, seed);
  };
  auto all = variants(three);
  Research(folder_ / "r", {all[0]}).go(run);
  Research research(folder_ / "r", all);
  research.go(run);
  EXPECT_EQ(runs, (std::vector<std::string>{"as it is0", "as it is1", "as it is2", "a little0",
                                            "a little1", "good0", "good1", "good2", "both0",
                                            "both1", "both2"}));
  EXPECT_EQ(research.leaderboard(),
            "     loss    spread  trial\n"
            "   1.5000    0.1000  both\n"
            "   1.5500    0.1000  good  (kept)\n"
            "   2.0500    0.1000  as it is  (kept)\n"
            " diverged         -  a little\n");
}

TEST_F(ResearchTest, TrialsHaveAsManyTokensAndOneOfThemIsSound) {
  auto all = variants(three);
  EXPECT_EQ(error_of<tarn::ValueError>([&] {
              Research(folder_ / "r", all).go([&](const Trial& t, uint64_t) {
                return RunResult{1.0, t.name == "as it is" ? 100 : 90};
              });
            }),
            "[research] a run of \"a little\" learned from 90 tokens and the first one from 100; "
            "trials are compared at equal tokens. Take out what changes them.");
  EXPECT_EQ(error_of<tarn::ValueError>([&] {
              Research(folder_ / "s", all).go([&](const Trial&, uint64_t) {
                return RunResult{std::numeric_limits<double>::quiet_NaN()};
              });
            }),
            "[research] the run without variants diverged, and nothing can be compared with it. "
            "Lower its learning rate.");
}

TEST_F(ResearchTest, Mistakes) {
  EXPECT_EQ(mistake("[]"),
            "[research] FOLDER/v.json: a list of variants is needed, such as [{\"name\": \"higher "
            "rank\", \"rank\": 16}].");
  EXPECT_EQ(mistake("[{\"rank\": 16}]"),
            "[research] FOLDER/v.json: variant 1 is no object {\"name\": ..., option: value}.");
  EXPECT_EQ(mistake("[{\"name\": \"a\", \"rank\": [1]}]"),
            "[research] FOLDER/v.json: rank of variant \"a\" is [1]; a text, a number or true is "
            "needed.");
  EXPECT_EQ(mistake("[{\"name\": \"a\", \"x\": 1}, {\"name\": \"a\", \"x\": 2}]"),
            "[research] FOLDER/v.json: two variants are named \"a\".");
  auto run = [](const Trial&, uint64_t) { return RunResult{1.0}; };
  Research(folder_ / "r", variants("[{\"name\": \"a\", \"x\": 1}]")).go(run);
  EXPECT_EQ(error_in(folder_,
                     [&] { Research(folder_ / "r", variants("[{\"name\": \"b\", \"x\": 1}]")); }),
            "[research] FOLDER/r/research.json: trial 1 is \"a\", which is not variant 1 of the "
            "list. Take another folder.");
  EXPECT_EQ(error_in(folder_,
                     [&] { Research(folder_ / "r", variants("[{\"name\": \"a\", \"x\": 2}]")); }),
            "[research] FOLDER/r/research.json: \"a\" had x = 1, and the list says 2. Take another "
            "folder.");
  EXPECT_EQ(
      error_in(folder_,
               [&] { Research(folder_ / "r", variants("[{\"name\": \"a\", \"x\": 1}]"), "t"); }),
      "[research] FOLDER/r/research.json: its runs were \"\", and now they are \"t\". Take "
      "another folder.");
}

}  // namespace
}  // namespace tarn_test
