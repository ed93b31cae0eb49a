// NCCL's library, which is loaded when a group asks for it. Nothing is compiled against it: what is
// used of its binary interface (libnccl.so.2; tested with 2.28) is declared here.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <optional>

#include "tarn/dtype.h"

namespace tarn::cuda {

struct NcclComm;
struct NcclId {
  char bytes[128] = {};
};
enum NcclResult : int { nccl_success = 0, nccl_in_progress = 7 };
enum NcclOp : int { nccl_sum = 0, nccl_max = 2, nccl_min = 3 };
constexpr int nccl_bytes = 1;  // a type

struct Nccl {
  int (*make_id)(NcclId*) = nullptr;
  int (*init)(NcclComm**, int ranks, NcclId, int rank) = nullptr;
  int (*abort)(NcclComm*) = nullptr;
  int (*error_of)(NcclComm*, int*) = nullptr;
  const char* (*error_text)(int) = nullptr;
  const char* (*last_error)(NcclComm*) = nullptr;
  int (*all_reduce)(const void*, void*, size_t, int type, int op, NcclComm*,
                    cudaStream_t) = nullptr;
  int (*reduce_scatter)(const void*, void*, size_t, int type, int op, NcclComm*,
                        cudaStream_t) = nullptr;
  int (*all_gather)(const void*, void*, size_t, int type, NcclComm*, cudaStream_t) = nullptr;
  int (*send)(const void*, size_t, int type, int to, NcclComm*, cudaStream_t) = nullptr;
  int (*recv)(void*, size_t, int type, int from, NcclComm*, cudaStream_t) = nullptr;
  int (*begin_group)() = nullptr;
  int (*end_group)() = nullptr;
};
// Null when it is not there.
const Nccl* nccl();

// NCCL's name for a dtype; nothing: it does not add those up.
std::optional<int> nccl_type(Dtype t);

}  // namespace tarn::cuda
