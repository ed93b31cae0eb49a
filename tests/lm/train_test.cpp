// Training: it learns, it is repeatable, it goes on where it was killed, it says what is wrong.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <thread>

#include "error_of.h"
#include "lm/tiny_training.h"
#include "tarn/error.h"

extern char** environ;

namespace tarn_test {
namespace {

using Kind = TrainEvent::Kind;

class TrainTest : public TinyTraining {
 protected:
  static TrainOptions options() { return TinyTraining::options(12); }
  // The losses of all events, in order.
  static std::vector<double> curve_of(Trainer& trainer) {
    std::vector<double> losses;
    trainer.run([&](const TrainEvent& e) {
      if (e.kind != Kind::saved) losses.push_back(e.loss);
      return TrainNext::more;
    });
    return losses;
  }
  // The first that is judged.
  static size_t shortest_of(const TrainSet& set) {
    auto shorter = [](const TrainSample& a, const TrainSample& b) {
      return a.ids.size() < b.ids.size();
    };
    return static_cast<size_t>(std::min_element(set.samples.begin(), set.samples.end(), shorter) -
                               set.samples.begin());
  }
  static void expect_same(const NamedParameters& a, const NamedParameters& b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [path, x] : a)
      EXPECT_TRUE(tarn::array_equal(x, b.at(path)).item<bool>()) << path;
  }
};

TEST_F(TrainTest, TheLossFalls) {
  TrainOptions o = options();
  o.steps = 60;
  Trainer trainer(lm_, data_, o);
  std::vector<double> losses = curve_of(trainer);
  EXPECT_GT(losses.front(), 3.5);
  EXPECT_LT(losses.back(), 1.6);
  // What the trainer says is what a model with these parameters gives.
  LanguageModel trained = trainer.model_with(trainer.parameters());
  EXPECT_NEAR(mean_loss(evaluate(trained, data_.valid)), losses.back(), 1e-5);
  EXPECT_NEAR(mean_loss(evaluate(lm_, data_.valid)), losses.front(), 1e-5);
}

TEST_F(TrainTest, EachOptimizerAndScheduleLearns) {
  for (std::string optimizer : {"adam", "adamw", "sgd", "muon", "adafactor", "lion"})
    for (std::string schedule : {"constant", "cosine", "linear", "exponential"}) {
      if (schedule != "cosine" && optimizer != "adamw") continue;
      TrainOptions o = options();
      o.optimizer = optimizer, o.schedule = schedule, o.warmup = 3;
      o.learning_rate = optimizer == "sgd" ? 0.05 : optimizer == "muon" ? 0.01 : 1e-3;
      Trainer trainer(lm_, data_, o);
      std::vector<double> losses = curve_of(trainer);
      EXPECT_LT(losses.back(), losses.front() - 0.3) << optimizer << " " << schedule;
    }
}

TEST_F(TrainTest, RatesRiseAndFall) {
  auto rates = [&](const std::string& schedule) {
    TrainOptions o = options();
    o.schedule = schedule, o.warmup = 2, o.steps = 6, o.learning_rate = 1e-3;
    std::vector<double> all;
    Trainer(lm_, data_, o).run([&](const TrainEvent& e) {
      if (e.kind == Kind::step) all.push_back(std::round(e.learning_rate * 1e7) / 1e4);
      return TrainNext::more;
    });
    return all;
  };
  using Rates = std::vector<double>;
  EXPECT_EQ(rates("constant"), (Rates{0.3333, 0.6667, 1, 1, 1, 1}));
  EXPECT_EQ(rates("linear"), (Rates{0.3333, 0.6667, 1, 0.775, 0.55, 0.325}));
  EXPECT_EQ(rates("cosine"), (Rates{0.3333, 0.6667, 1, 0.8682, 0.55, 0.2318}));
  EXPECT_EQ(rates("exponential"), (Rates{0.3333, 0.6667, 1, 0.5623, 0.3162, 0.1778}));
}

// Accumulated batches are one large one; what is computed again is what was kept.
TEST_F(TrainTest, AccumulationAndRecomputationChangeNoGradient) {
  auto norm_of = [&](TrainOptions o) {
    o.steps = 1, o.clip = 0;
    double norm = 0;
    Trainer(lm_, data_, o).run([&](const TrainEvent& e) {
      if (e.kind == Kind::step) norm = e.gradient_norm;
      return TrainNext::more;
    });
    return norm;
  };
  TrainOptions whole = options();
  whole.batch_size = static_cast<int>(data_.train.samples.size());
  TrainOptions parts = options();
  parts.batch_size = 4, parts.accumulate = static_cast<int>(data_.train.samples.size() + 3) / 4;
  TrainOptions cut = whole;
  cut.tokens_at_once = 40;
  TrainOptions again = whole;
  again.recompute = true;
  EXPECT_NEAR(norm_of(cut), norm_of(whole), 1e-4 * norm_of(whole));
  EXPECT_NEAR(norm_of(parts), norm_of(whole), 1e-4 * norm_of(whole));
  EXPECT_NEAR(norm_of(again), norm_of(whole), 1e-5 * norm_of(whole));
}

TEST_F(TrainTest, AStoppedRunGoesOnToTheSameNumbers) {
  TrainOptions o = options();
  Trainer whole(lm_, data_, o);
  std::vector<double> expected = curve_of(whole), losses;
  o.folder = folder_ / "run";
  for (int turn = 0; turn < 4; ++turn) {
    Trainer part(lm_, data_, o);
    EXPECT_EQ(part.resume(), turn > 0);
    int64_t until = part.step() + 3;
    part.run([&](const TrainEvent& e) {
      if (e.kind != Kind::saved) losses.push_back(e.loss);
      return e.step >= until ? TrainNext::stop : TrainNext::more;
    });
    if (turn == 3) {
      expect_same(part.parameters(), whole.parameters());
      expect_same(part.best_parameters(), whole.best_parameters());
    }
  }
  EXPECT_EQ(losses, expected);
  auto files = std::distance(fs::directory_iterator(o.folder), fs::directory_iterator{});
  EXPECT_EQ(files, 2) << "the newest two are kept";
}

TEST_F(TrainTest, AStopRequestEndsTheRunAfterTheStep) {
  std::stop_source source;
  TrainOptions o = options();
  o.stop = source.get_token(), o.folder = folder_ / "run";
  TrainResult result = Trainer(lm_, data_, o).run([&](const TrainEvent& e) {
    if (e.step == 3) source.request_stop();
    return TrainNext::more;
  });
  EXPECT_EQ(result.end, TrainResult::End::stopped);
  EXPECT_EQ(result.steps, 3);
  EXPECT_TRUE(fs::exists(o.folder / "step-00000003.safetensors"));
}

TEST_F(TrainTest, ItEndsWhenNothingGetsBetter) {
  TrainOptions o = options();
  o.learning_rate = 0.5, o.steps = 40, o.steps_per_eval = 1, o.patience = 3;
  Trainer trainer(lm_, data_, o);
  TrainResult result = trainer.run();
  EXPECT_EQ(result.end, TrainResult::End::no_improvement);
  EXPECT_EQ(result.steps, result.best_step + 3);
  double best = mean_loss(evaluate(trainer.model_with(trainer.best_parameters()), data_.valid));
  EXPECT_NEAR(best, result.best_valid_loss, 1e-5);
}

TEST_F(TrainTest, ANumberThatIsNotFiniteNamesItsExample) {
  LanguageModel broken = lm_;
  // The table's row for "6" is NaN; only examples with that digit meet it.
  broken.model.parameters([&](const std::string& path, array& a) {
    if (path != "model.embed_tokens.weight") return;
    array rows = tarn::reshape(tarn::arange(0, 128, tarn::int32), {128, 1});
    a = tarn::where(rows == array(tiny_id('6')), array(NAN), a);
  });
  TrainOptions o = options();
  o.learning_rate = 1e-3;
  auto only_layers = [](const std::string& path, const array&) {
    return path.starts_with("model.layers");
  };
  data_.valid.samples.clear();
  Trainer trainer(broken, data_, o, only_layers);
  std::string message = error_of<tarn::ValueError>([&] { trainer.run(); });
  // A tied head makes every loss NaN.
  EXPECT_EQ(message,
            fmt::format("[train] step 1: the loss of {} is not a finite number. Look at "
                        "that example, or lower the learning rate (0.001 now).",
                        message.substr(message.find("of ") + 3,
                                       message.find(" is not") - message.find("of ") - 3)));
  EXPECT_NE(message.find("a.jsonl, line "), std::string::npos);
  EXPECT_EQ(trainer.step(), 0);
}

// The steps' own losses are finite: only the validation sees what the last one did.
TEST_F(TrainTest, AValidationThatIsNotFiniteEndsTheRun) {
  TrainOptions o = options();
  o.steps = 1, o.learning_rate = 1e20, o.clip = 0, o.folder = folder_ / "run";
  EXPECT_FALSE(has_checkpoint(o.folder));
  auto only_layers = [](const std::string& path, const array&) {
    return path.starts_with("model.layers");
  };
  Trainer trainer(lm_, data_, o, only_layers);
  EXPECT_EQ(error_of<DivergedError>([&] { trainer.run(); }),
            fmt::format("[train] step 1: the validation loss of {} is not a finite number. Look at "
                        "that example, or lower the learning rate (1e+20 now).",
                        data_.valid.place(shortest_of(data_.valid))));
  EXPECT_FALSE(has_checkpoint(o.folder));
  o.steps = 2, o.learning_rate = 1e-3;
  Trainer(lm_, data_, o).run();
  EXPECT_TRUE(has_checkpoint(o.folder));
}

// Those of single options are in named_mistakes_test.cpp.
TEST_F(TrainTest, MistakesOfWholeRuns) {
  EXPECT_EQ(error_of<tarn::ValueError>([&] { evaluate(lm_, data_.valid, {.batch_size = 0}); }),
            "[evaluate] batch_size is 0; it must be at least 1.");
  EXPECT_EQ(error_of<tarn::ValueError>([&] { Trainer(lm_, TrainData{}, options()); }),
            "[train] there are no examples to train on.");
  EXPECT_EQ(error_of<tarn::ValueError>(
                [&] { Trainer(lm_, data_, options(), [](auto&, auto&) { return false; }); }),
            "[train] " + lm_.name +
                " has no parameter that can be trained: quantised weights cannot. Put adapters on "
                "it (lora), or take a model with dense weights.");
}

TEST_F(TrainTest, AFolderThatCannotBeMade) {
  std::string fix =
      " FOLDER/a.jsonl: this folder cannot be made: a file has this name. Take "
      "another one.";
  TrainOptions o = options();
  o.folder = folder_ / "a.jsonl";
  Trainer trainer(lm_, data_, o);
  EXPECT_EQ(error_in<tarn::FileError>(folder_, [&] { trainer.run(); }), "[train]" + fix);
  EXPECT_EQ(error_in<tarn::FileError>(folder_, [&] { TrainLog(o.folder, -1); }), "[train]" + fix);
  EXPECT_EQ(error_in<tarn::FileError>(folder_, [&] { Research(o.folder, {}); }),
            "[research]" + fix);
  o.folder /= "below";
  EXPECT_EQ(error_in<tarn::FileError>(folder_, [&] { TrainLog(o.folder, -1); }),
            "[train] FOLDER/a.jsonl/below: this folder cannot be made: Not a directory. Take "
            "another one.");
}

TEST_F(TrainTest, MistakesOfCheckpoints) {
  TrainOptions o = options();
  o.steps = 2, o.steps_per_save = 1, o.folder = folder_ / "run";
  Trainer(lm_, data_, o).run();
  auto with = [&](auto change) {
    TrainOptions changed = o;
    changed.folder = folder_ / "run";
    TrainData data = data_;
    tarn::nn::Where where = {};
    change(changed, data, where);
    Trainer trainer(lm_, data, changed, where);
    return error_in<tarn::FileError>(folder_, [&] { trainer.resume(); });
  };
  std::string head = "[train] FOLDER/run/step-00000002.safetensors: ";
  std::string other = head + "it belongs to another run: ";
  std::string fix = " now. Give the same options to go on, or take another folder.";
  EXPECT_EQ(with([](auto& c, auto&, auto&) { c.learning_rate = 0.5; }),
            other + "learning_rate is 0.002 there and 0.5" + fix);
  EXPECT_EQ(with([](auto& c, auto&, auto&) { c.steps = 3; }),
            other + "steps is 2 there and 3" + fix);
  std::string data = with([](auto&, auto& d, auto&) { d.train.samples.pop_back(); });
  EXPECT_TRUE(data.starts_with(other + "train_data is ")) << data;
  std::string part = with([](auto&, auto&, auto& where) {
    where = [](const std::string& path, const array&) { return path != "model.norm.weight"; };
  });
  EXPECT_EQ(part, head + "it has 20 parameters; the model trains 19.");
  // Cut off, and another file in its place.
  fs::path file = o.folder / "step-00000002.safetensors";
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_EQ(
      with([](auto&, auto&, auto&) {}),
      head + "this checkpoint is cut off or damaged. Remove it; the one before is used then.");
  fs::path before = o.folder / "step-00000001.safetensors";
  fs::rename(before, folder_ / "before");
  EXPECT_EQ(with([](auto&, auto&, auto&) {}),
            head +
                "this checkpoint is cut off or damaged. There is no other one: take another "
                "folder.");
  fs::rename(folder_ / "before", before);
  tarn::save_safetensors(file.string(), {{"x", tarn::ones({2})}});
  EXPECT_EQ(with([](auto&, auto&, auto&) {}),
            head + "it is no checkpoint of a training run. Take another folder.");
  fs::remove(file);
  Trainer one(lm_, data_, o);
  EXPECT_TRUE(one.resume());
  EXPECT_EQ(one.step(), 1);
}

// --- killed

struct Child {
  std::vector<std::string> lines{};
  bool was_killed = false;
};

// Runs the driver; kills it after `delay` if that is given.
Child drive(const std::vector<std::string>& arguments, std::chrono::microseconds delay = {}) {
  fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / "train_driver";
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  fs::path out = fs::path(arguments.back()).string() + ".out";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = 0;
  int error = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {  // without a process, what follows would kill this test's own group
    ADD_FAILURE() << program << " cannot be started";
    return {};
  }
  if (delay.count() > 0) {
    std::this_thread::sleep_for(delay);
    kill(pid, SIGKILL);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  Child child{{}, WIFSIGNALED(status)};
  EXPECT_TRUE(child.was_killed || WEXITSTATUS(status) == 0);
  std::ifstream in(out);
  for (std::string line; std::getline(in, line);) child.lines.push_back(line);
  return child;
}

TEST_F(TrainTest, ARunThatIsKilledAnywhereEndsWithTheSameWeights) {
  std::string model = (folder_ / "model-1").string(), data = (folder_ / "a.jsonl").string();
  auto start = std::chrono::steady_clock::now();
  Child whole = drive({model, data, (folder_ / "whole").string()});
  auto took = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - start);
  const char* kills = std::getenv("TARN_TEST_KILLS");
  int wanted = kills ? std::atoi(kills) : 5, killed = 0;
  std::set<std::string> expected(whole.lines.begin(), whole.lines.end());
  for (int run = 0; killed < wanted && run < 10 * wanted; ++run) {
    std::string folder = (folder_ / fmt::format("run-{}", run)).string();
    // Spread over the run; a later turn goes on and is killed as well.
    auto delay = took * (run * 7919 % 97 + 2) / 100;
    for (int turn = 0; turn < 2 && killed < wanted; ++turn) {
      Child child = drive({model, data, folder}, delay / (turn + 1));
      killed += child.was_killed ? 1 : 0;
      if (child.was_killed && !child.lines.empty()) child.lines.pop_back();  // perhaps cut off
      for (const auto& line : child.lines) EXPECT_TRUE(expected.count(line)) << line;
    }
    Child last = drive({model, data, folder});
    ASSERT_FALSE(last.lines.empty());
    EXPECT_EQ(last.lines.back(), whole.lines.back()) << "run " << run;
    fs::remove_all(folder);
  }
  EXPECT_EQ(killed, wanted);
}

}  // namespace
}  // namespace tarn_test
