// What a function file holds, and the way into bytes and back.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/atomic_write.h"
#include "io/mapped_file.h"
#include "transforms/record.h"

namespace tarn {

// A recording with the arguments it takes: positional ones, then keywords in alphabetical order.
struct Trace {
  size_t positional = 0;
  std::vector<std::string> keywords{};
  bool shapeless = false;
  // For each argument's axes: sizes of one class are equal and at least 2, sizes of class `fixed`
  // are those of the recording.
  static constexpr int fixed = -1;
  std::vector<std::vector<int>> classes{};
  Recording recording{};
};

struct FunctionFile {
  std::string library{};  // the version that wrote it
  std::string metadata{};
  std::vector<Trace> traces{};
};

// Calls in the catalogue's ops only: what stands for its first input is that input.
// Throws ValueError for an op that no file can hold.
Recording portable(const Recording& r);

void write_function(io::AtomicFile& out, const FunctionFile& f);
FunctionFile read_function(const std::shared_ptr<const io::FileBytes>& file);

// Throws unless every call is one that could have been recorded.
void check_calls(const Recording& r);

}  // namespace tarn
