// A training program of someone's own, run by `tarn research` once for each trial and seed.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tarn/lm/research.h"

namespace tarn::cli {

struct ProgramRun {
  std::vector<std::string> words{};  // the program, found as a shell does, and what it is given
  std::string output{}, log{};       // files for its standard output and error
};

// Runs the program without a shell and reads the last line of its output, a JSON object with
// "loss", a number or null where the run diverged, and "tokens", how many it learned from. Nothing
// after a stop request, which ends the program; it also ends when this process does, however that
// comes. Throws FileError where it cannot be started, ends with another status than 0, or has
// another last line.
std::optional<lm::RunResult> run_program(const ProgramRun& run, std::stop_token stop);

}  // namespace tarn::cli
