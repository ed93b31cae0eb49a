// The processes of a program of several, started on this machine.
#pragma once

#include <string>
#include <vector>

namespace tarn::cli {

struct Ranks {
  std::vector<std::string> words{};  // the program, found as a shell does, and what it is given
  int count = 1;
  bool by_mpirun = false;   // else they find each other by a ring, see src/distributed/ring.cpp
  bool with_cards = false;  // which they connect by NCCL
};

// Runs the program `count` times at once, and writes what the processes print with "[RANK] " before
// each line. The first has this process's standard input, the others none. Signals that ask to end
// go to all. When a process fails the others are asked to end and, three seconds later, made to.
// Returns the status of the first that failed, 128 + the signal where one ended it, else 0. Throws
// DeviceError when they cannot be started.
int run_ranks(const Ranks& ranks);

}  // namespace tarn::cli
