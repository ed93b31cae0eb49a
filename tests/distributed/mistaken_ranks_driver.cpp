// Programs of several processes that go wrong in the way that the first argument names, or print
// what they are given. What it threw is on standard error, and its status is 1.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <thread>

#include "tarn/distributed.h"
#include "tarn/ops.h"

namespace {

using tarn::array;
namespace distributed = tarn::distributed;

void wait_for_ever() {
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

int run(const std::string& what) {
  distributed::Group group = distributed::init(true);
  int rank = group.rank();
  array x = tarn::full({4}, 1.0f);
  distributed::all_sum(x).eval();
  if (what == "killed") {
    if (rank == 1) raise(SIGKILL);
  } else if (what == "ends") {
    if (rank == 1) _exit(0);
  } else if (what == "goes on") {
    if (rank == 1) _exit(0);
    try {
      distributed::all_sum(x).eval();
      tarn::synchronize();
    } catch (const tarn::DeviceError&) {
      std::cout << "of " << group.size() << std::endl;
    }
    distributed::sum_scatter(x).eval();
  } else if (what == "throws") {
    if (rank == 1) throw tarn::ValueError("[driver] rank 1 has had enough.");
  } else if (what == "other op") {
    rank == 1 ? distributed::all_gather(x).eval() : distributed::all_sum(x).eval();
  } else if (what == "other size") {
    distributed::all_sum(rank == 1 ? tarn::full({5}, 1.0f) : x).eval();
  } else if (what == "waits") {
    std::cout << "rank " << rank << " waits" << std::endl;
    wait_for_ever();
  } else if (what == "status") {
    if (rank == 1) return 7;
    wait_for_ever();
  } else if (what == "stubborn") {
    signal(SIGTERM, SIG_IGN);
    distributed::all_sum(x).eval();
    if (rank == 1) return 7;
    wait_for_ever();
  } else if (what == "pieces") {
    for (const char* piece : {"[1", ", 2] and [3,4] ", "and <std", "out>: and [", "\n[", "\n"}) {
      std::cout << piece << std::flush;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return 0;
  } else if (what == "speaks") {
    std::string line;
    while (std::getline(std::cin, line)) std::cout << "heard " << line << '\n';
    std::cout << "rank " << rank << " of " << group.size() << '\n' << "no newline" << std::flush;
    std::cerr << "an error\n";
    return 0;
  }
  array sum = distributed::all_sum(x);
  sum.eval();
  tarn::synchronize();  // where a GPU computes it
  return 0;
}

}  // namespace

int main(int, char** argv) {
  try {
    return run(argv[1]);
  } catch (const std::exception& e) {
    std::cerr << e.what() << std::endl;
    return 1;
  }
}
