// How long stress tests go on: TARN_TEST_SECONDS, or a quarter of a second.
#pragma once

#include <chrono>
#include <cstdlib>

namespace tarn_test {

inline std::chrono::duration<double> test_seconds() {
  const char* seconds = std::getenv("TARN_TEST_SECONDS");
  return std::chrono::duration<double>(seconds && *seconds ? std::atof(seconds) : 0.25);
}

}  // namespace tarn_test
