#include "together.h"

#include <fcntl.h>
#include <unistd.h>

#include <random>

#include "tarn/ops.h"

namespace tarn::cli {
namespace {

// The sum of what rank 0 has and zeros.
array array_of_first(const distributed::Group& group, const array& a) {
  return distributed::all_sum(group.rank() == 0 ? a : zeros_like(a), group);
}

}  // namespace

void check_together(const distributed::Group& group, const AdapterOptions& adapters) {
  if (group.size() > 1 && !adapters.folders.empty())
    throw UsageError(
        "a model that several processes divide takes no adapters: `tarn fuse` folds them in "
        "first.");
}

void be_silent() {
  int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
  close(nowhere);
}

std::string from_first(const distributed::Group& group, const std::string& text) {
  if (group.size() == 1) return text;
  auto size = array_of_first(group, array(static_cast<int64_t>(text.size()))).item<int64_t>();
  std::string own = text;
  own.resize(static_cast<size_t>(size));
  array bytes =
      array_of_first(group, array(reinterpret_cast<const uint8_t*>(own.data()), {size}, uint8));
  const auto* data = bytes.data<uint8_t>();
  return {data, data + size};
}

uint64_t common_seed(const distributed::Group& group) {
  std::random_device random;
  array mine(static_cast<uint64_t>(random()) << 32 | random());
  return array_of_first(group, mine).item<uint64_t>();
}

}  // namespace tarn::cli
