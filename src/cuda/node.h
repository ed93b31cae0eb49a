// One node of a recorded graph, changed to do what another one of its kind does.
#pragma once

#include <cuda_runtime_api.h>

namespace tarn::cuda {

// Of the executable graph made from the one that `node` is in. False: `from` is work of another
// kind, or another kernel.
bool take_over(cudaGraphExec_t exec, cudaGraphNode_t node, cudaGraphNode_t from);

}  // namespace tarn::cuda
