// Programs drawn by lot go through a file and compute the same.
#include "runtime/random_graphs.h"

#include <gtest/gtest.h>

#include "io/io_files.h"

namespace tarn {
namespace {

TEST(RandomGraphs, ExportedIsOriginal) {
  tarn_test::Folder folder;
  std::string file = folder.at("f");
  for (int seed = 0; seed < 500; ++seed) {
    random_graphs::Program program(static_cast<uint64_t>(seed), 14, true);
    Args in = program.arguments();
    export_function(file, ArgsFunction(program), in);
    auto imported = import_function(file);
    for (int variant : {0, 1}) {
      Args given = program.arguments(variant);
      auto got = imported(given), want = program(given);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_TRUE(array_equal(got[i], want[i], true).item<bool>()) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace tarn
