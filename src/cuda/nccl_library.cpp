#include "cuda/nccl_library.h"

#include <stdlib.h>

#include <utility>

#include "cuda/dynamic_library.h"

namespace tarn::cuda {
namespace {

bool find_all(void* from, Nccl& n) {
  return find(from, "ncclGetUniqueId", n.make_id) && find(from, "ncclCommInitRank", n.init) &&
         find(from, "ncclCommAbort", n.abort) && find(from, "ncclCommGetAsyncError", n.error_of) &&
         find(from, "ncclGetErrorString", n.error_text) &&
         find(from, "ncclGetLastError", n.last_error) &&
         find(from, "ncclAllReduce", n.all_reduce) &&
         find(from, "ncclReduceScatter", n.reduce_scatter) &&
         find(from, "ncclAllGather", n.all_gather) && find(from, "ncclSend", n.send) &&
         find(from, "ncclRecv", n.recv) && find(from, "ncclGroupStart", n.begin_group) &&
         find(from, "ncclGroupEnd", n.end_group);
}

}  // namespace

const Nccl* nccl() {
  static const Nccl* const loaded = []() -> const Nccl* {
    // Else NCCL makes ranks that record a graph meet while they do, and one may do so later.
    setenv("NCCL_GRAPH_REGISTER", "0", 0);
    constexpr const char* names[] = {"libnccl.so.2", "/usr/local/cuda/lib64/libnccl.so.2"};
    static Nccl n;
    return open_first(names, [](void* from) { return find_all(from, n); }) ? &n : nullptr;
  }();
  return loaded;
}

std::optional<int> nccl_type(Dtype t) {
  constexpr std::pair<Dtype, int> known[] = {{int8, 0},    {uint8, 1},   {int32, 2},   {uint32, 3},
                                             {int64, 4},   {uint64, 5},  {float16, 6}, {float32, 7},
                                             {float64, 8}, {bfloat16, 9}};
  for (auto [dtype, type] : known)
    if (dtype == t) return type;
  return std::nullopt;
}

}  // namespace tarn::cuda
