// What is thrown, for tests that hold messages to the letter. Where the environment's
// TARN_TEST_ERRORS names a file, each message becomes a line at its end: what `sort -u` leaves of
// them are the mistakes that were made.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "tarn/error.h"

namespace tarn_test {

inline void note_error(std::string message) {
  const char* file = std::getenv("TARN_TEST_ERRORS");
  if (!file) return;
  for (size_t at; (at = message.find('\n')) != std::string::npos;) message.replace(at, 1, "\\n");
  std::ofstream(file, std::ios::app) << message << '\n';
}

// The message of the E that f throws, or "no error". Other exceptions go on.
template <class E = tarn::Error, class F>
std::string error_of(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const E& error) {
    note_error(error.message());
    return error.message();
  }
  return "no error";
}

// The same with the name of `folder` as FOLDER.
template <class E = tarn::Error, class F>
std::string error_in(const std::filesystem::path& folder, F&& f) {
  std::string text = error_of<E>(std::forward<F>(f)), name = folder.string();
  for (size_t at; (at = text.find(name)) != std::string::npos;)
    text.replace(at, name.size(), "FOLDER");
  return text;
}

}  // namespace tarn_test
