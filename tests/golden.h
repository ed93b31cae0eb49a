// Where the golden data of the tests lie.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace tarn_test {

// tests/golden/<name> of the tree that holds this program, or of TARN_GOLDENS when that is set.
inline std::filesystem::path golden(const std::string& name) {
  namespace fs = std::filesystem;
  if (const char* folder = std::getenv("TARN_GOLDENS"); folder && *folder)
    return fs::path(folder) / name;
  fs::path program = fs::read_symlink("/proc/self/exe");
  for (fs::path at = program; at != at.parent_path(); at = at.parent_path())
    if (fs::is_directory(at.parent_path() / "tests/golden"))
      return at.parent_path() / "tests/golden" / name;
  throw std::runtime_error("No folder above " + program.string() +
                           " has tests/golden; set TARN_GOLDENS to that folder.");
}

}  // namespace tarn_test
