// What a run leaves to read, and how models are compared.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "error_of.h"
#include "lm/tiny_model.h"

namespace tarn_test {
namespace {

using Kind = TrainEvent::Kind;

class TrainLogTest : public TinyModel {
 protected:
  static TrainEvent step(int64_t number, double loss) {
    TrainEvent e{.kind = Kind::step, .step = number, .steps = 4, .loss = loss};
    e.learning_rate = 0.5, e.tokens = 7, e.computed = 9, e.seconds = 2;
    return e;
  }
  static std::string text_of(const fs::path& file) {
    return tarn::read_text(file.string(), 1 << 20);
  }
  fs::path run() const { return folder_ / "run"; }
};

TEST_F(TrainLogTest, ALineAnEvent) {
  TrainLog log(run(), -1);
  log.add(step(1, 3.5));
  log.add({.kind = Kind::validation, .step = 1, .steps = 4, .loss = 3.25, .is_best = true});
  log.add({.kind = Kind::saved, .step = 1});
  EXPECT_EQ(text_of(log.log_file()),
            "{\"event\":\"step\",\"step\":1,\"steps\":4,\"loss\":3.5,\"learning_rate\":0.5,"
            "\"gradient_norm\":0.0,\"tokens\":7,\"computed\":9,\"seconds\":2.0}\n"
            "{\"event\":\"validation\",\"step\":1,\"steps\":4,\"loss\":3.25,\"best\":true,"
            "\"seconds\":0.0}\n");
}

TEST_F(TrainLogTest, AResumedRunHasOneCurve) {
  {
    TrainLog log(run(), -1);
    for (int i = 1; i <= 4; ++i) log.add(step(i, 4.0 - i));
  }
  std::ofstream(run() / "log.jsonl", std::ios::app) << "{\"event\":\"st";  // killed while writing
  TrainLog again(run(), 2);
  again.add(step(3, 1));
  ASSERT_EQ(again.events().size(), 3u);
  TrainLog third(run(), 3);
  ASSERT_EQ(third.events().size(), 3u);
  EXPECT_EQ(third.events()[2].loss, 1);
  EXPECT_EQ(third.events()[2].computed, 9);
  EXPECT_TRUE(TrainLog(run(), -1).events().empty()) << "a new run begins a new log";
  std::ofstream(run() / "log.jsonl") << "{\"event\":\"step\"}\n";
  EXPECT_EQ(error_in(folder_, [&] { TrainLog(run(), 1); }).substr(0, 75),
            "[train] FOLDER/run/log.jsonl: a line of the log cannot be read ([json.excep");
}

TEST_F(TrainLogTest, TheReportIsOnePageWithTheCurves) {
  TrainLog log(run(), -1);
  for (int i = 1; i <= 3; ++i) log.add(step(i, i));
  log.write_report("a <b>", {{"model", "x & y"}});
  std::string page = text_of(log.report_file());
  EXPECT_NE(page.find("<h1>a &lt;b&gt;</h1>"), std::string::npos);
  EXPECT_NE(page.find("<td>model</td><td>x &amp; y</td>"), std::string::npos);
  // Losses 1 to 3 from corner to corner: x 60 to 700, y 250 to 14.
  EXPECT_NE(page.find("<polyline class=\"a\" points=\"60.0,250.0 380.0,132.0 700.0,14.0 \"/>"),
            std::string::npos);
  for (const char* foreign : {"<script", "http", "src=", "url("})
    EXPECT_EQ(page.find(foreign), std::string::npos) << foreign;
}

TEST_F(TrainLogTest, LossesAndBytesOfAModel) {
  LanguageModel lm = tiny();
  std::ofstream(folder_ / "a.jsonl") << "{\"text\": \"abcd\"}\n{\"text\": \"xy\"}\n";
  std::vector<std::string> notes;
  TrainSet set = load_train_set(folder_ / "a.jsonl", lm, {}, notes);
  auto both = evaluate(lm, set, {.batch_size = 2}), apart = evaluate(lm, set, {.batch_size = 1});
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].tokens, 4);  // b c d and the end
  EXPECT_EQ(both[0].bytes, 3);
  EXPECT_EQ(both[1].tokens, 2);
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(both[i].loss, apart[i].loss, 1e-5);
  double sum = both[0].loss + both[1].loss;
  EXPECT_NEAR(mean_loss(both), sum / 6, 1e-9);
  EXPECT_NEAR(bits_per_byte(both), sum / std::log(2.0) / 4, 1e-9);
}

TEST_F(TrainLogTest, ExactAnswersAreCounted) {
  LanguageModel lm = tiny();
  std::ofstream(folder_ / "a.jsonl") << "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
  std::vector<std::string> notes;
  TrainDataOptions masked{.mask_prompt = true};
  TrainSet set = load_train_set(folder_ / "a.jsonl", lm, masked, notes);
  EXPECT_EQ(exact_matches(lm, set, {.max_tokens = 4}), (std::vector<double>{0}));
  // After training on nothing else, it says just that.
  Trainer trainer(lm, {set, {}, {}, {}}, {.steps = 30, .batch_size = 1});
  trainer.run();
  LanguageModel taught = trainer.model_with(trainer.parameters());
  EXPECT_EQ(exact_matches(taught, set, {.max_tokens = 4}), (std::vector<double>{1}));
}

TEST_F(TrainLogTest, BootstrapCoversTheMean) {
  std::vector<double> values;
  for (int i = 0; i < 100; ++i) values.push_back(i % 10);
  auto mean = [&](const std::vector<size_t>& places) {
    double sum = 0;
    for (size_t p : places) sum += values[p];
    return sum / static_cast<double>(places.size());
  };
  Interval i = bootstrap(100, mean);
  // Deviation 2.87 of one value, 0.287 of the mean of 100: 4.5 -+ 1.96 * 0.287.
  EXPECT_NEAR(i.low, 4.5 - 0.5625, 0.08);
  EXPECT_NEAR(i.high, 4.5 + 0.5625, 0.08);
  EXPECT_EQ(bootstrap(100, mean).low, i.low) << "the seed decides";
  EXPECT_EQ(error_of<tarn::ValueError>([&] { bootstrap(0, mean); }),
            "[bootstrap] 0 examples in 2000 rounds: at least one is needed.");
}

}  // namespace
}  // namespace tarn_test
