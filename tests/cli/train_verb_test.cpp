// tarn train and tarn eval on a tiny model, from a file of examples to an adapter that is compared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <thread>

#include "base/file.h"
#include "cli/arguments.h"
#include "cli/train_view.h"
#include "cli/verbs.h"
#include "error_of.h"
#include "lm/tiny_model.h"

namespace tarn_test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using Words = std::vector<std::string>;

class TrainVerb : public TinyModel {
 protected:
  void SetUp() override {
    TinyModel::SetUp();
    model_ = write_tiny_model(folder_ / "model").string();
    std::ofstream out(folder_ / "my.jsonl");
    for (int i = 0; i < 30; ++i)
      out << fmt::format("{{\"prompt\": \"{}\", \"completion\": \"{}{}\"}}\n", i, i % 10, i % 3);
  }
  std::string file(const char* name) const { return (folder_ / name).string(); }
  int train(Words more) {
    Words words{"--model", model_, "--data", file("my.jsonl"), "--out", file("run")};
    words.insert(words.end(), more.begin(), more.end());
    testing::internal::CaptureStderr();
    int status = -1;
    try {
      status = tarn::cli::train(words);
    } catch (...) {
      said_ = testing::internal::GetCapturedStderr();
      throw;
    }
    said_ = testing::internal::GetCapturedStderr();
    return status;
  }
  std::string usage_error(Words more) {
    try {
      train(std::move(more));
    } catch (const tarn::cli::UsageError& error) {
      std::string text = error.what();
      for (size_t at; (at = text.find(folder_.string())) != std::string::npos;)
        text.replace(at, folder_.string().size(), "FOLDER");
      return text;
    }
    return "no error";
  }

  std::string model_{}, said_{}, board_{};
};

TEST_F(TrainVerb, FromExamplesToAnAdapter) {
  ASSERT_EQ(train({"--steps", "20", "--learning-rate", "0.02", "--steps-per-eval", "10"}), 0);
  EXPECT_THAT(said_, HasSubstr("lora trains 16384 numbers on 27 examples"));
  EXPECT_THAT(said_, HasSubstr("   step      loss     valid      rate     norm  tokens/s"));
  EXPECT_THAT(said_, HasSubstr("\n     20  "));
  for (const char* name : {"adapters.safetensors", "adapter_config.json", "log.jsonl",
                           "report.html", "step-00000010.safetensors", "step-00000020.safetensors"})
    EXPECT_TRUE(fs::exists(folder_ / "run" / name)) << name;
  testing::internal::CaptureStdout();
  ASSERT_EQ(tarn::cli::eval({"--model", model_, "--data", file("my.jsonl"), "--adapter",
                             file("run"), "--json"}),
            0);
  std::istringstream out(testing::internal::GetCapturedStdout());
  std::string base, with;
  std::getline(out, base), std::getline(out, with);
  Json first = tarn::parse_json(base, "base"), second = tarn::parse_json(with, "with");
  double difference = second["loss"].get<double>() - first["loss"].get<double>();
  EXPECT_LT(difference, -0.5);
  EXPECT_NEAR(second["loss_difference"]["value"].get<double>(), difference, 1e-9);
  EXPECT_LT(second["loss_difference"]["high"].get<double>(), -0.3);
  EXPECT_FALSE(first.contains("loss_difference"));
  for (std::string key : {"loss", "perplexity", "bits_per_byte"}) {
    EXPECT_NEAR(second[key + "_difference"]["value"].get<double>(),
                second[key].get<double>() - first[key].get<double>(), 1e-9)
        << key;
    EXPECT_LT(second[key + "_difference"]["high"].get<double>(), 0) << key;
    EXPECT_LT(first[key + "_interval"]["low"].get<double>(), first[key].get<double>()) << key;
    EXPECT_GT(first[key + "_interval"]["high"].get<double>(), first[key].get<double>()) << key;
  }
  EXPECT_NEAR(first["perplexity"].get<double>(), std::exp(first["loss"].get<double>()), 1e-6);
}

TEST_F(TrainVerb, EvalShowsEachMeasureAndTheDifference) {
  ASSERT_EQ(train({"--steps", "5"}), 0);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  int status = tarn::cli::eval({"--model", model_, "--data", file("my.jsonl"), "--adapter",
                                file("run"), "--exact", "--new-tokens", "4"});
  testing::internal::GetCapturedStderr();
  std::istringstream out(testing::internal::GetCapturedStdout());
  ASSERT_EQ(status, 0);
  std::vector<std::string> lines;
  for (std::string line; std::getline(out, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 1u + 4 + 8);
  EXPECT_THAT(lines[0], testing::EndsWith("95 of 100 draws of 30 examples"));
  EXPECT_THAT(lines[1], testing::MatchesRegex("model +loss +[0-9.]+ +[0-9.]+ to [0-9.]+"));
  EXPECT_THAT(lines[2], testing::MatchesRegex(" +perplexity +[0-9.]+ +[0-9.]+ to [0-9.]+"));
  EXPECT_THAT(lines[3], testing::MatchesRegex(" +bits/byte +[0-9.]+ +[0-9.]+ to [0-9.]+"));
  EXPECT_THAT(lines[4], testing::MatchesRegex(" +exact +[0-9.]+ +[0-9.]+ to [0-9.]+"));
  EXPECT_THAT(lines[6],
              testing::MatchesRegex("  against the first +loss +-[0-9.]+ +-[0-9.]+ to -[0-9.]+"));
}

TEST_F(TrainVerb, WhatTrainAdvisesIsWhatEvalTakes) {
  fs::path data = folder_ / "my data";
  fs::create_directories(data);
  fs::copy_file(folder_ / "my.jsonl", data / "train.jsonl");
  auto advised = [&](const std::string& judged) {
    fs::remove_all(folder_ / "run");
    Words words{"--model", model_, "--data", data.string(), "--out", file("run"), "--steps", "1"};
    testing::internal::CaptureStderr();
    EXPECT_EQ(tarn::cli::train(words), 0);
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                EndsWith(fmt::format("Try it:\n  tarn chat --model {0} --adapter {2}\n  tarn eval "
                                     "--model {0} --data '{1}' --adapter {2}\n",
                                     model_, judged, file("run"))));
  };
  auto judged_by = [&] {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ(tarn::cli::eval({"--model", model_, "--data", data.string(), "--json"}), 0);
    Json json = tarn::parse_json(testing::internal::GetCapturedStdout(), "eval");
    EXPECT_EQ(json["examples"], 30);
    return testing::internal::GetCapturedStderr();
  };
  advised((data / "train.jsonl").string());
  std::string text;
  try {
    tarn::cli::eval({"--model", model_, "--data", data.string()});
  } catch (const tarn::cli::UsageError& error) {
    text = error.what();
  }
  EXPECT_EQ(text, data.string() +
                      ": the folder has no test.jsonl and no valid.jsonl to judge by. "
                      "--data takes a file as well.");
  for (const char* name : {"valid.jsonl", "test.jsonl"}) {
    fs::copy_file(folder_ / "my.jsonl", data / name);
    advised(data.string());
    EXPECT_EQ(judged_by(), fmt::format("Judges by {}.\n", (data / name).string()));
  }
}

TEST(ShellWord, IsQuotedWhereItMust) {
  EXPECT_EQ(tarn::cli::shell_word("runs/a-1.b"), "runs/a-1.b");
  EXPECT_EQ(tarn::cli::shell_word("my run"), "'my run'");
  EXPECT_EQ(tarn::cli::shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(tarn::cli::shell_word(""), "''");
}

// Before the data are read, which here is a mistake as well.
TEST_F(TrainVerb, EvalLooksAtAllAdaptersFirst) {
  ASSERT_EQ(train({"--steps", "1"}), 0);
  EXPECT_EQ(error_in<tarn::FileError>(folder_,
                                      [&] {
                                        tarn::cli::eval({"--model", model_, "--data",
                                                         file("nosuch.jsonl"), "--adapter",
                                                         file("run"), "--adapter", file("nosuch")});
                                      }),
            "[adapters] FOLDER/nosuch is no folder: one with adapter_config.json is needed.");
}

// On runs of `tarn train`: a variant that is far better, and one that is worse.
TEST_F(TrainVerb, ResearchKeepsWhatIsBetter) {
  std::ofstream(folder_ / "v.json") << R"([{"name": "faster", "learning-rate": 0.02},
      {"name": "slower", "learning-rate": 0.0001}])";
  auto research = [&](Words more) {
    Words words{"--variants",      file("v.json"), "--model",        model_,    "--data",
                file("my.jsonl"),  "--out",        file("research"), "--steps", "6",
                "--learning-rate", "0.001"};
    words.insert(words.end(), more.begin(), more.end());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    int status = -1;
    try {
      status = tarn::cli::research(words);
    } catch (const std::exception& error) {
      said_ = error.what();
    }
    testing::internal::GetCapturedStderr();
    board_ = testing::internal::GetCapturedStdout();
    return status;
  };
  ASSERT_EQ(research({}), 0) << said_;
  EXPECT_THAT(board_, HasSubstr("  faster  (kept)\n"));
  EXPECT_THAT(board_, HasSubstr("  slower\n"));
  std::string first = board_;
  ASSERT_EQ(research({}), 0) << said_;
  EXPECT_EQ(board_, first) << "nothing runs again";
  ASSERT_EQ(research({"--rank", "4"}), -1);
  EXPECT_THAT(said_, HasSubstr("research.json: its runs were \""));
  EXPECT_THAT(said_, HasSubstr("--rank 4\". Take another folder."));
  std::ofstream(folder_ / "v.json") << R"([{"name": "longer", "steps": 100}])";
  ASSERT_EQ(research({}), -1);
  EXPECT_EQ(said_, file("v.json") +
                       ", variant \"longer\": a variant cannot change steps, by which trials would "
                       "not see the same tokens. Give it to all: --steps VALUE.");
  auto mistake = [&](const char* options) {
    std::ofstream(folder_ / "v.json")
        << fmt::format(R"([{{"name": "fine", "rank": 4}}, {{"name": "a", {}}}])", options);
    EXPECT_EQ(research({}), -1);
    return said_.substr(file("v.json").size());
  };
  EXPECT_EQ(
      mistake(R"("nosuch": 1)"),
      ", variant \"a\": `--nosuch` is not an option here. `tarn research --help` lists them.");
  EXPECT_EQ(mistake(R"("rank": "x")"), ", variant \"a\": --rank: `x` is not a whole number.");
  EXPECT_EQ(mistake(R"("learning-rate": 0)"),
            ", variant \"a\": [train] learning_rate is 0; it must be positive, such as 2e-3 for "
            "adapters.");
}

TEST_F(TrainVerb, ResumesToTheSameAdapter) {
  Words options{"--steps", "12", "--steps-per-eval", "4", "--dropout", "0.2"};
  ASSERT_EQ(train(options), 0);
  std::string whole = tarn::read_text(file("run/adapters.safetensors"), 1 << 24);
  // As if it had been killed after step 8: what came later is gone.
  fs::remove(folder_ / "run/step-00000012.safetensors");
  options.push_back("--resume");
  ASSERT_EQ(train(options), 0);
  EXPECT_THAT(said_, HasSubstr("Goes on after step 8."));
  EXPECT_EQ(tarn::read_text(file("run/adapters.safetensors"), 1 << 24), whole);
  TrainLog log(folder_ / "run", 12);
  int64_t steps = 0;
  for (const TrainEvent& e : log.events()) steps += e.kind == TrainEvent::Kind::step ? 1 : 0;
  EXPECT_EQ(steps, 12);
}

TEST_F(TrainVerb, WhereNothingCanGoOnNoAdapterIsLost) {
  ASSERT_EQ(train({"--steps", "2", "--resume"}), 0);
  EXPECT_THAT(said_, testing::StartsWith("There is no checkpoint in " + file("run") +
                                         ": the run begins at step 0.\n"));
  ASSERT_EQ(train({"--steps", "2", "--resume"}), 0);
  EXPECT_THAT(said_, Not(HasSubstr("There is no checkpoint")));
  for (const char* step : {"run/step-00000001.safetensors", "run/step-00000002.safetensors"})
    fs::remove(folder_ / step);
  std::string adapter = tarn::read_text(file("run/adapters.safetensors"), 1 << 24);
  auto refused = [](const char* name) {
    return fmt::format(
        "FOLDER/run/{} belongs to an adapter, and no checkpoint to go on from is beside it: a run "
        "from step 0 would replace it. --out takes another folder.",
        name);
  };
  EXPECT_EQ(usage_error({"--steps", "2", "--seed", "7", "--resume"}),
            refused("adapters.safetensors"));
  EXPECT_EQ(tarn::read_text(file("run/adapters.safetensors"), 1 << 24), adapter);
  fs::rename(folder_ / "run/adapters.safetensors", folder_ / "run/adapter_model.safetensors");
  EXPECT_EQ(usage_error({"--resume"}), refused("adapter_model.safetensors"));
  fs::remove(folder_ / "run/adapter_model.safetensors");
  EXPECT_EQ(usage_error({"--resume"}), refused("adapter_config.json"));
}

TEST_F(TrainVerb, OneRunAtATimeIsInAFolder) {
  auto refused = [&](const std::string& verb, const std::string& holder) {
    return fmt::format(
        "[{}] FOLDER/run: another run{} is at work in this folder. Wait until it has ended, or "
        "take another folder by --out.",
        verb, holder);
  };
  // As `run` is: standard error is captured while the other run writes to it.
  auto said_in = [&](int (*verb)(const Words&), Words more) {
    Words words{"--model", model_, "--data", file("my.jsonl"), "--out", file("run")};
    words.insert(words.end(), more.begin(), more.end());
    return error_in<tarn::FileError>(folder_, [&] { verb(words); });
  };
  int status = -1;
  std::jthread other([&] { status = train({"--steps", "300", "--steps-per-eval", "300"}); });
  while (!fs::exists(folder_ / "run/log.jsonl")) std::this_thread::yield();
  std::string holder = fmt::format(" (process {})", getpid());
  EXPECT_EQ(said_in(tarn::cli::train, {"--steps", "2"}), refused("train", holder));
  EXPECT_EQ(said_in(tarn::cli::train, {"--steps", "2", "--resume"}), refused("train", holder));
  std::ofstream(folder_ / "v.json") << R"([{"name": "faster", "learning-rate": 0.02}])";
  EXPECT_EQ(said_in(tarn::cli::research, {"--variants", file("v.json")}),
            refused("research", holder));
  std::ofstream(folder_ / "run/run.lock") << "";  // taken, and the number is not yet written
  EXPECT_EQ(said_in(tarn::cli::train, {"--steps", "2"}), refused("train", ""));
  other.join();
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(fs::exists(folder_ / "run/run.lock"));
  // Of a run that was killed before its first step.
  fs::remove_all(folder_ / "run");
  fs::create_directories(folder_ / "run");
  std::ofstream(folder_ / "run/run.lock") << "1\n";
  EXPECT_EQ(train({"--steps", "2"}), 0);
}

TEST_F(TrainVerb, TheFolderIsLookedAtBeforeAllElse) {
  auto said = [&](int (*verb)(const Words&), const std::string& out) {
    Words words{"--model", file("nosuch"), "--data", file("nosuch"), "--out", out};
    if (verb == tarn::cli::research) words.insert(words.end(), {"--variants", file("v.json")});
    return error_in(folder_, [&] { verb(words); });
  };
  std::ofstream(folder_ / "v.json") << R"([{"name": "faster", "learning-rate": 0.02}])";
  auto train = tarn::cli::train, research = tarn::cli::research;
  std::string end = " Give this user the right to write, or take another folder by --out.";
  EXPECT_EQ(said(train, file("my.jsonl")),
            "[train] FOLDER/my.jsonl: this folder cannot be made: a file has this name. Take "
            "another one.");
  EXPECT_EQ(said(train, file("my.jsonl/run")),
            "[train] FOLDER/my.jsonl/run: this folder cannot be made: Not a directory. Take "
            "another one.");
  EXPECT_EQ(said(research, file("my.jsonl/run")),
            "[research] FOLDER/my.jsonl/run: this folder cannot be made: Not a directory. Take "
            "another one.");
  EXPECT_EQ(said(train, "/proc/self"),
            "[train] /proc/self: no file can be written in this folder: No such file or "
            "directory." +
                end);
  EXPECT_THAT(said(train, file("new")), HasSubstr("FOLDER/nosuch does not exist."));
  EXPECT_FALSE(fs::exists(folder_ / "new")) << "nothing is left of it";
  for (auto verb : {train, research}) {
    std::string text;
    try {
      said(verb, "");
    } catch (const tarn::cli::UsageError& error) {
      text = error.what();
    }
    EXPECT_EQ(text, "--out is empty; it needs the name of a folder.");
  }
}

TEST_F(TrainVerb, EachModeTrains) {
  for (std::string mode : {"dora", "full"}) {
    fs::remove_all(folder_ / "run");
    ASSERT_EQ(train({"--steps", "10", "--mode", mode, "--learning-rate", "0.005"}), 0) << said_;
    TrainLog log(folder_ / "run", 10);
    EXPECT_LT(log.events().back().loss, log.events().front().loss - 0.2) << mode;
    LanguageModel with = load(model_);
    LoRAContainer::from(folder_ / "run").load(with);
  }
}

TEST_F(TrainVerb, MoreLayersThanThereAreAreAll) {
  std::string all = "model: lora trains 16384 numbers on ";
  ASSERT_EQ(train({"--steps", "1", "--num-layers", "-1"}), 0);
  EXPECT_THAT(said_, HasSubstr("\n" + all));
  EXPECT_THAT(said_, Not(HasSubstr("--num-layers")));
  fs::remove_all(folder_ / "run");
  ASSERT_EQ(train({"--steps", "1", "--num-layers", "1000"}), 0);
  EXPECT_THAT(said_, HasSubstr("\n--num-layers: model has 2 layers, and 1000 are asked for: all "
                               "are trained.\n" +
                               all));
}

TEST_F(TrainVerb, Mistakes) {
  EXPECT_EQ(
      usage_error({"--mode", "qlora"}),
      "model has dense weights: qlora needs quantised ones. `tarn convert` makes them; --mode "
      "lora trains on these.");
  EXPECT_EQ(usage_error({"--num-layers", "0"}),
            "--num-layers: 0 layers leave nothing to train; -1 stands for all.");
  fs::create_directories(folder_ / "run");
  std::ofstream(folder_ / "run/x") << "";
  EXPECT_EQ(usage_error({}),
            "FOLDER/run holds files already: --resume goes on with the run there, "
            "--out takes another folder.");
  auto plain = [](Words words) {
    return error_of<tarn::Error>([&] {
      try {
        tarn::cli::train(words);
      } catch (const tarn::cli::UsageError& error) {
        throw tarn::ValueError(error.what());
      }
    });
  };
  EXPECT_EQ(plain({}), "tarn train needs --data FILE.jsonl, or a folder with train.jsonl.");
  EXPECT_EQ(plain({"--data", "x", "--learning-rate", "0"}),
            "[train] learning_rate is 0; it must be positive, such as 2e-3 for adapters.");
}

TEST(TrainView, SparklinesAndClocks) {
  EXPECT_EQ(tarn::cli::sparkline({8, 4, 1}, 10), "█▄▁");
  EXPECT_EQ(tarn::cli::sparkline({7, 7, 3, 3}, 2), "█▁");
  EXPECT_EQ(tarn::cli::sparkline({2}, 5), "▁");
  EXPECT_EQ(tarn::cli::sparkline({}, 5), "");
  EXPECT_EQ(tarn::cli::clock_text(249.2), "4:10");
  EXPECT_EQ(tarn::cli::clock_text(3723), "1:02:03");
}

}  // namespace
}  // namespace tarn_test
