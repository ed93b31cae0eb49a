// What is thrown, for tests that hold messages to the letter.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "tarn/error.h"

namespace tarn_test {

// The message of the E that f throws, or "no error". Other exceptions go on.
template <class E = tarn::Error, class F>
std::string error_of(F&& f) {
  try {
    std::forward<F>(f)();
  } catch (const E& error) {
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
