// Work on several threads at once.
#pragma once

#include <thread>
#include <vector>

namespace tarn_test {

// Calls f(0) to f(threads - 1), each on a thread of its own, and waits for all.
template <class F>
void on_threads(int threads, F f) {
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) running.emplace_back(f, t);
  for (auto& r : running) r.join();
}

}  // namespace tarn_test
