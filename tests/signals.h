// Which threads of the process a signal may run on.
#pragma once

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace tarn_test {

// The numbers of the threads that do not block it.
inline std::set<std::string> threads_that_take(int signal) {
  std::set<std::string> all;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("SigBlk:") &&
          (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) == 0)
        all.insert(task.path().filename().string());
  }
  return all;
}

}  // namespace tarn_test
