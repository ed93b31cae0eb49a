// What lm::plan says beside what is then measured, and what does not fit.
#include "tarn/lm/plan.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>

#include "default_model.h"
#include "error_of.h"
#include "memory.h"
#include "tarn/random.h"
#include "tiny_model.h"

namespace tarn_test {
namespace {

// What tests/lm/memory_driver.cpp, which lies beside this program, measures.
double measured(const fs::path& path, int64_t context, int64_t batch) {
  fs::path driver = fs::read_symlink("/proc/self/exe").parent_path() / "memory_driver";
  std::string command =
      fmt::format("'{}' '{}' {} {}", driver.string(), path.string(), context, batch);
  FILE* out = popen(command.c_str(), "r");
  char line[64]{};
  bool is_read = out && std::fgets(line, sizeof line, out);
  EXPECT_TRUE(out && pclose(out) == 0 && is_read) << command;
  return std::atof(line);
}

void expect_as_planned(const fs::path& path, int64_t context, int64_t batch) {
  MemoryPlan planned = plan(path, {.context = context, .batch = batch});
  EXPECT_EQ(planned.context, context);
  double was = measured(path, context, batch);
  EXPECT_NEAR(was / static_cast<double>(planned.own()), 1.0, 0.05)
      << context << " positions, " << batch << " answers: " << was << " bytes, planned "
      << planned.weights << " + " << planned.tokenizer << " + " << planned.cache << " + "
      << planned.workspace;
}

class DefaultModelMemory : public DefaultModel {};

TEST_F(DefaultModelMemory, IsWhatWasPlanned) {
  if (!counts_are_ours) GTEST_SKIP() << "A sanitizer holds memory of its own.";
  for (int64_t context : {512, 2048})
    for (int64_t batch : {1, 2}) expect_as_planned(model_path(), context, batch);
}

TEST_F(DefaultModelMemory, OfTheFileIsWhatIsMapped) {
  MemoryPlan planned = plan(model_path(), {.context = 64});
  EXPECT_EQ(planned.mapped, fs::file_size(model_path()));
  EXPECT_LT(planned.mapped_used, planned.mapped / 100);  // norms; all else is repacked
  EXPECT_EQ(planned.name, model().name);
}

class Plan : public TinyModel {
 protected:
  fs::path model(int64_t hidden = 256) {
    TinyOptions options{.vocabulary = 4 * hidden, .hidden = hidden, .context = 2048};
    return write_tiny_model(folder_ / "wide", options);
  }
};

TEST_F(Plan, OfASafetensorsModelIsWhatIsMeasured) {
  if (!counts_are_ours) GTEST_SKIP() << "A sanitizer holds memory of its own.";
  fs::path path = model(1024);  // 23 million numbers
  MemoryPlan planned = plan(path, {.context = 2048});
  EXPECT_EQ(planned.weights, 0u);
  EXPECT_NEAR(static_cast<double>(planned.mapped_used),
              static_cast<double>(fs::file_size(path / "model.safetensors")), 10'000);
  // Caches that outgrow their room leave a megabyte or two more than planned: much of so small a
  // model.
  expect_as_planned(path, 512, 1);
}

TEST_F(Plan, CacheGrowsWithPositionsAnswersAndBits) {
  fs::path path = model();
  auto cache = [&](int64_t context, int64_t batch, GenerateParameters parameters = {}) {
    return plan(path, {.context = context, .batch = batch, .parameters = parameters}).cache;
  };
  // Two layers, one head of 128 for keys and one for values, in float16; room doubles.
  constexpr uint64_t position = 2 * 2 * 128 * 2;
  EXPECT_EQ(cache(256, 1), 256 * position);
  EXPECT_EQ(cache(257, 1), 512 * position);
  EXPECT_EQ(cache(512, 3), 3 * 512 * position);
  EXPECT_EQ(cache(0, 1), 2048 * position);
  EXPECT_EQ(cache(1 << 20, 1), 2048 * position);  // no more than the model knows
  EXPECT_EQ(cache(512, 1, {.precision = Precision::exact}), 2 * 512 * position);
  EXPECT_EQ(cache(2048, 1, {.max_kv_size = 300}), 300 * position);
  // 4 bits and two float16 for each group of 64.
  EXPECT_EQ(cache(512, 1, {.kv_bits = 4}), 512 * position * (4 * 64 + 2 * 16) / (16 * 64));
}

TEST_F(Plan, LeavesNothingBehindAndTheModelAlone) {
  fs::path path = model();
  size_t active = tarn::get_active_memory(), peak = (tarn::reset_peak_memory(), active);
  plan(path, {.context = 2048, .batch = 4});
  EXPECT_EQ(tarn::get_active_memory(), active);
  EXPECT_LT(tarn::get_peak_memory(), peak + 100'000);
  // Its plans may be used again; its numbers are nobody's.
  LanguageModel lm = load(path);
  lm.stop_ids.clear();
  Ids before = collect(generate(lm, {5, 6, 7}, exact(8))).ids;
  plan(path, {.context = 300, .parameters = exact(8)});
  EXPECT_EQ(collect(generate(lm, {5, 6, 7}, exact(8))).ids, before);
}

TEST_F(Plan, OptionsOutsideTheirRange) {
  fs::path path = model();
  EXPECT_EQ(error_of([&] { plan(path, {.context = 1}); }),
            "[plan] context is 1; at least 2 positions are needed, or 0 for the model's own.");
  EXPECT_EQ(error_of([&] { plan(path, {.batch = 16}); }),
            "[plan] batch is 16; it must be from 1 to 15.");
  EXPECT_EQ(error_in(folder_, [&] { plan(folder_ / "none"); }),
            "[load] FOLDER/none does not exist. Give a GGUF file, a folder with config.json, or "
            "run `make chat` once to fetch the default model.");
}

// ---- What does not fit ----

LoadOptions with_room(uint64_t memory, uint64_t addresses = UINT64_MAX) {
  return {.room = [=] { return MemoryRoom{.memory = memory, .addresses = addresses}; }};
}

TEST_F(Plan, AModelThatDoesNotFitIsRefused) {
  fs::path path = model();
  MemoryPlan planned = plan(path, {.context = 512});
  uint64_t needed = planned.needed() - planned.tokenizer;  // which is read meanwhile
  std::string error = error_in(folder_, [&] { load(path, with_room(1'000'000)); });
  EXPECT_EQ(error.substr(0, error.find("about")), "[load] FOLDER/wide: needs ");
  EXPECT_EQ(error.substr(error.find(" of memory")),
            " of memory, 1.0 MB are free in this machine. Close other programs, choose a smaller "
            "context or a smaller quantisation, or load it all the same (--force).");
  EXPECT_EQ(error_of([&] { load(path, with_room(needed)); }), "no error");
  EXPECT_NE(error_of([&] { load(path, with_room(needed - needed / 50)); }), "no error");
  LoadOptions forced = with_room(0);
  forced.force = true;
  EXPECT_EQ(error_of([&] { load(path, forced); }), "no error");
  LoadOptions longer = with_room(needed);
  longer.context = 2048;
  EXPECT_NE(error_of([&] { load(path, longer); }), "no error");
}

TEST_F(Plan, TooFewAddressesAreRefused) {
  fs::path path = model();
  std::string error = error_in(folder_, [&] { load(path, with_room(UINT64_MAX, 50'000'000)); });
  EXPECT_EQ(error.substr(error.find(" of address")),
            " of address space, `ulimit -v` leaves 50.0 MB. Raise it, choose a smaller context or "
            "a smaller quantisation, or load it all the same (--force).");
}

// The addresses that are left run out while the plan is made, whatever they seemed to be before.
TEST_F(Plan, TooFewAddressesForThePlanAreRefused) {
  if (!counts_are_ours) GTEST_SKIP() << "A sanitizer takes addresses of its own.";
  TinyOptions wide{.vocabulary = 1024, .hidden = 256, .context = 1 << 16};
  fs::path path = write_tiny_model(folder_ / "wide", wide);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  if (before.rlim_cur != RLIM_INFINITY) GTEST_SKIP() << "There is a limit already.";
  LoadOptions options;
  options.context = wide.context;  // 16 MiB of keys in each layer
  options.room = [&] {
    rlimit limit{rlim_t{1} << 46, before.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    uint64_t taken = (uint64_t{1} << 46) - memory_room().addresses;
    limit.rlim_cur = taken + (8 << 20);
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    return MemoryRoom{.memory = UINT64_MAX, .addresses = 200'000'000};
  };
  std::string error = error_in(folder_, [&] { load(path, options); });
  setrlimit(RLIMIT_AS, &before);
  size_t number = error.find("for ") + 4, after = error.find(" bytes");
  ASSERT_LT(number, after) << error;
  EXPECT_EQ(error.erase(number, after - number),
            "[load] FOLDER/wide: too little room even to plan it: [memory] no address space for "
            " bytes. `ulimit -v` leaves 200 MB. Raise it, choose a smaller quantisation, or load "
            "it all the same (--force).");
}

class Room : public TinyModel {
 protected:
  void put(const std::string& file, const std::string& text) {
    fs::create_directories((folder_ / file).parent_path());
    std::ofstream(folder_ / file) << text;
  }
};

TEST_F(Room, IsWhatTheMachineHas) {
  EXPECT_EQ(memory_room(folder_).memory, UINT64_MAX);
  put("proc/meminfo", "MemTotal:  9000 kB\nMemFree: 1 kB\nMemAvailable:   7000 kB\n");
  EXPECT_EQ(memory_room(folder_).memory, 7000u * 1024);
  EXPECT_EQ(memory_room(folder_).memory_limit, "this machine");
}

TEST_F(Room, IsWhatTheTightestGroupLeaves) {
  put("proc/meminfo", "MemAvailable: 7000 kB\n");
  put("proc/self/cgroup", "0::/a/b\n");
  put("sys/fs/cgroup/a/b/memory.max", "max\n");
  put("sys/fs/cgroup/a/b/memory.current", "500\n");
  put("sys/fs/cgroup/a/memory.max", "5000000\n");
  put("sys/fs/cgroup/a/memory.current", "3000000\n");
  put("sys/fs/cgroup/a/memory.stat", "anon 1\nactive_file 200000\ninactive_file 300000\n");
  MemoryRoom room = memory_room(folder_);
  EXPECT_EQ(room.memory, 2'500'000u);  // pages of files go when memory is needed
  EXPECT_EQ(room.memory_limit, "the control group /a");
}

TEST_F(Room, KnowsTheFirstVersionOfGroups) {
  put("proc/meminfo", "MemAvailable: 7000 kB\n");
  put("proc/self/cgroup", "12:cpu,cpuacct:/x\n7:memory:/job\n");
  put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "4000000\n");
  put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1000000\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000000\n");
  EXPECT_EQ(memory_room(folder_).memory, 3'000'000u);
}

TEST_F(Room, HasAnEndWhereAddressesHaveOne) {
  EXPECT_EQ(memory_room().addresses, UINT64_MAX);
  put("proc/self/status", "Name: x\nVmSize:     1000 kB\n");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  if (before.rlim_cur != RLIM_INFINITY) GTEST_SKIP() << "There is a limit already.";
  rlimit limit{rlim_t{1} << 46, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  uint64_t left = memory_room(folder_).addresses;
  setrlimit(RLIMIT_AS, &before);
  EXPECT_EQ(left, (uint64_t{1} << 46) - 1000 * 1024);
}

}  // namespace
}  // namespace tarn_test
