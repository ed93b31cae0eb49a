// The loop of a side that a bench/compare*.py drives: one command a line on standard input, one
// JSON answer a line on standard output. What is thrown is the answer {"error": text}.
#pragma once

#include <exception>
#include <iostream>
#include <string>

#include "base/json.h"

namespace commands {

template <class Perform>
void answer(Perform perform) {
  for (std::string line; std::getline(std::cin, line);) {
    tarn::Json result;
    try {
      result = perform(tarn::parse_json(line, "the command"));
    } catch (const std::exception& e) {
      result = {{"error", e.what()}};
    }
    std::cout << result.dump() << std::endl;
  }
}

}  // namespace commands
