#include "cuda/node.h"

#include <cuda.h>

#include "cuda/driver.h"

namespace tarn::cuda {
namespace {

// Of the driver, since the runtime refuses to read a node whose kernel was loaded while the program
// ran, as compiled chains are ("invalid device function").
struct Calls {
  decltype(&cuGraphKernelNodeGetParams) read =
      driver<decltype(cuGraphKernelNodeGetParams)>("cuGraphKernelNodeGetParams");
  decltype(&cuGraphKernelNodeGetAttribute) attribute =
      driver<decltype(cuGraphKernelNodeGetAttribute)>("cuGraphKernelNodeGetAttribute");
  decltype(&cuGraphExecKernelNodeSetParams) change =
      driver<decltype(cuGraphExecKernelNodeSetParams)>("cuGraphExecKernelNodeSetParams");
};
const Calls& calls() {
  static const Calls found;
  return found;
}

// A node keeps what its kernel was launched with beside parameters.
bool same_clusters(cudaGraphNode_t a, cudaGraphNode_t b) {
  CUkernelNodeAttrValue x{}, y{};
  constexpr auto id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  return calls().attribute(a, id, &x) == CUDA_SUCCESS &&
         calls().attribute(b, id, &y) == CUDA_SUCCESS && x.clusterDim.x == y.clusterDim.x &&
         x.clusterDim.y == y.clusterDim.y && x.clusterDim.z == y.clusterDim.z;
}
// The same kernel, since edges stay: one that does not wait for the queue itself must not stand
// where another could begin early.
bool take_over_kernel(cudaGraphExec_t exec, cudaGraphNode_t node, cudaGraphNode_t from) {
  CUDA_KERNEL_NODE_PARAMS was{}, is{};
  return calls().read(node, &was) == CUDA_SUCCESS && calls().read(from, &is) == CUDA_SUCCESS &&
         was.func == is.func && was.kern == is.kern && same_clusters(node, from) &&
         calls().change(exec, node, &is) == CUDA_SUCCESS;
}
bool take_over_copy(cudaGraphExec_t exec, cudaGraphNode_t node, cudaGraphNode_t from) {
  cudaMemcpy3DParms p{};
  return cudaGraphMemcpyNodeGetParams(from, &p) == cudaSuccess &&
         cudaGraphExecMemcpyNodeSetParams(exec, node, &p) == cudaSuccess;
}

}  // namespace

bool take_over(cudaGraphExec_t exec, cudaGraphNode_t node, cudaGraphNode_t from) {
  cudaGraphNodeType type{}, other{};
  if (cudaGraphNodeGetType(node, &type) != cudaSuccess ||
      cudaGraphNodeGetType(from, &other) != cudaSuccess || type != other)
    return false;
  if (type == cudaGraphNodeTypeKernel) return take_over_kernel(exec, node, from);
  return type == cudaGraphNodeTypeMemcpy && take_over_copy(exec, node, from);
}

}  // namespace tarn::cuda
