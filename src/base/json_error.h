// What parse_json throws, for readers that name the place in their own way.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "tarn/error.h"

namespace tarn {

// A text that cannot be read: how many bytes were read by then, and what is wrong there.
struct JsonError : FileError {
  JsonError(const std::string& text, size_t at, std::string reason)
      : FileError(text), byte(at), why(std::move(reason)) {}
  size_t byte;
  std::string why;
};

}  // namespace tarn
