#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/text.h"
#include "model_options.h"
#include "ranks.h"
#include "tarn/device.h"
#include "tarn/distributed.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

constexpr int most_ranks = 1024;

// Where the program's words begin: behind the options, which all but --help have a value.
size_t program_in(const Words& words) {
  size_t i = 0;
  while (i < words.size() && words[i].starts_with("-") && words[i] != "--") {
    std::string_view word = words[i];
    bool alone = std::ranges::count(word, '=') > 0 || word == "--help" || word == "-h" ||
                 (word.starts_with("-n") && word.size() > 2);
    i += alone ? 1 : 2;
  }
  return std::min(i, words.size());
}

bool is_in_path(const char* program) {
  const char* path = std::getenv("PATH");
  std::stringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

// Processes that each took every core would wait for each other.
void share_threads(int ranks) {
  auto threads = static_cast<int>(std::get<size_t>(device_info(Device::cpu).at("threads")));
  setenv("TARN_NUM_THREADS", std::to_string(std::max(1, threads / ranks)).c_str(), 0);
}

}  // namespace

int launch(const Words& words) {
  Ranks ranks;
  std::string backend = "any";
  Arguments arguments("tarn launch", "Runs a program as several processes on this machine.");
  arguments.number("-n,--ranks", ranks.count, "how many processes", {1, most_ranks});
  arguments.choice("--backend", backend, {"any", "mpi", "ring", "nccl"},
                   "how they talk: Open MPI, sockets, or sockets and NCCL between their GPUs; any: "
                   "Open MPI where it is installed");
  arguments.footer(
      "PROGRAM and what it is given stand behind the options; `tarn` is this program.\n"
      "TARN_NUM_THREADS, unless it is set, is this machine's threads divided by the ranks.\n");
  size_t program = program_in(words);
  auto at = words.begin() + static_cast<std::ptrdiff_t>(program);
  if (!parse_or_help(arguments, Words(words.begin(), at))) return 0;
  if (at != words.end() && *at == "--") ++at;
  if (at == words.end()) throw UsageError("[launch] give a program: `tarn launch -n 2 PROGRAM`.");
  ranks.words.assign(at, words.end());
  if (ranks.words[0] == "tarn") ranks.words[0] = std::filesystem::read_symlink("/proc/self/exe");
  bool by_sockets = backend == "ring" || backend == "nccl";
  bool mpi_is_there = !by_sockets && distributed::is_available("mpi") && is_in_path("mpirun");
  if (backend == "mpi" && !mpi_is_there)
    throw UsageError(
        "[launch] Open MPI is not found: install openmpi-bin and libopenmpi3, or use --backend "
        "ring.");
  ranks.by_mpirun = mpi_is_there;
  ranks.with_cards = backend == "nccl";
  share_threads(ranks.count);
  return run_ranks(ranks);
}

}  // namespace tarn::cli
