// Steps recorded as one CUDA graph: the card gets them at once, and between two that wait for each
// other passes a third of the time that it takes from one launch to the next.
#include "cuda/replay.h"

#include <cuda_runtime_api.h>

#include <utility>
#include <vector>

#include "base/require.h"
#include "cuda/device.h"
#include "cuda/node.h"

namespace tarn::cuda {
namespace {

// What launches put into a queue of their own, in the order of the steps.
struct Capture {
  cudaGraph_t graph = nullptr;
  std::vector<std::vector<cudaGraphNode_t>> of_step{};  // as many as were captured

  Capture() = default;
  Capture(Capture&& other) noexcept
      : graph(std::exchange(other.graph, nullptr)), of_step(std::move(other.of_step)) {}
  ~Capture() {
    if (graph) cudaGraphDestroy(graph);
  }
};

// The queue of one capture. Other threads go on using the card's.
class CaptureQueue {
 public:
  CaptureQueue() : stream_(taken()) { set_queue_of_thread(stream_); }
  CaptureQueue(const CaptureQueue&) = delete;
  CaptureQueue& operator=(const CaptureQueue&) = delete;
  ~CaptureQueue() {
    set_queue_of_thread(nullptr);
    cudaGraph_t left = nullptr;  // when a launch threw in the middle
    if (capturing_ && cudaStreamEndCapture(stream_, &left) == cudaSuccess && left)
      cudaGraphDestroy(left);
    std::lock_guard lock(mutex());
    unused().push_back(stream_);  // to make one takes longer than a capture
  }
  void begin() {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "a capture");
    capturing_ = true;
  }
  // The node that was put in last; null when there is none.
  cudaGraphNode_t last() const {
    cudaStreamCaptureStatus status{};
    const cudaGraphNode_t* nodes = nullptr;
    const cudaGraphEdgeData* edges = nullptr;  // it refuses to leave them out
    size_t count = 0;
    check(cudaStreamGetCaptureInfo(stream_, &status, nullptr, nullptr, &nodes, &edges, &count),
          "a capture");
    return count > 0 ? nodes[0] : nullptr;
  }
  cudaGraph_t end() {
    cudaGraph_t graph = nullptr;
    capturing_ = false;
    check(cudaStreamEndCapture(stream_, &graph), "a capture");
    return graph;
  }

 private:
  static std::mutex& mutex() {
    static auto* const m = new std::mutex;  // threads may evaluate while the program ends
    return *m;
  }
  static std::vector<cudaStream_t>& unused() {
    static auto* const all = new std::vector<cudaStream_t>;
    return *all;
  }
  static cudaStream_t taken() {
    std::lock_guard lock(mutex());
    unused().reserve(64);
    cudaStream_t stream = nullptr;
    if (unused().empty()) {
      check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
      return stream;
    }
    stream = unused().back();
    unused().pop_back();
    return stream;
  }

  cudaStream_t stream_ = nullptr;
  bool capturing_ = false;
};

bool follows(cudaGraphNode_t node, cudaGraphNode_t before) {
  // Without room for what edges are, those of kernels that begin early are refused.
  cudaGraphNode_t found[2] = {};
  cudaGraphEdgeData edges[2] = {};
  size_t count = 2;
  return cudaGraphNodeGetDependencies(node, found, edges, &count) == cudaSuccess && count == 1 &&
         found[0] == before;
}
// The nodes of a graph in which each follows the one before; none of another graph.
std::vector<cudaGraphNode_t> in_order(cudaGraph_t graph) {
  size_t count = 0;
  check(cudaGraphGetNodes(graph, nullptr, &count), "a graph");
  std::vector<cudaGraphNode_t> all(count);
  if (count > 0) check(cudaGraphGetNodes(graph, all.data(), &count), "a graph");
  for (size_t i = 1; i < all.size(); ++i)
    if (!follows(all[i], all[i - 1])) return {};
  return all;
}

Capture capture(std::span<const size_t> steps, const std::function<void(size_t)>& launch) {
  CaptureQueue queue;
  queue.begin();
  std::vector<cudaGraphNode_t> ends;
  for (size_t s : steps) {
    launch(s);
    ends.push_back(queue.last());
  }
  Capture c;
  c.graph = queue.end();
  // Each step's nodes end with the one seen last.
  std::vector<cudaGraphNode_t> nodes = in_order(c.graph);
  size_t at = 0;
  for (cudaGraphNode_t end : ends) {
    std::vector<cudaGraphNode_t> mine;
    cudaGraphNode_t before = at > 0 ? nodes[at - 1] : nullptr;
    while (end != before && at < nodes.size()) {
      mine.push_back(nodes[at]);
      before = nodes[at++];
    }
    c.of_step.push_back(std::move(mine));
  }
  if (at != nodes.size() || (at > 0 && nodes[at - 1] != ends.back())) c.of_step.clear();
  return c;
}

class Graph final : public Recording {
 public:
  Graph(Capture all, cudaGraphExec_t exec) : all_(std::move(all)), exec_(exec) {}
  ~Graph() override { cudaGraphExecDestroy(exec_); }
  void run() override {
    std::lock_guard lock(workspace_mutex());
    check(cudaGraphLaunch(exec_, queue()), "a graph");
  }
  bool replace(std::span<const size_t> steps, const std::function<void(size_t)>& launch) override {
    Capture fresh = capture(steps, launch);
    if (fresh.of_step.size() != steps.size()) return false;
    for (size_t i = 0; i < steps.size(); ++i) {
      const auto &was = all_.of_step[steps[i]], &is = fresh.of_step[i];
      if (was.size() != is.size()) return false;
      for (size_t k = 0; k < was.size(); ++k)
        if (!take_over(exec_, was[k], is[k])) return forget_error();
    }
    return true;
  }

 private:
  static bool forget_error() {
    cudaGetLastError();  // the next launch must not take it for its own
    return false;
  }
  Capture all_;
  cudaGraphExec_t exec_;
};

}  // namespace

std::unique_ptr<Recording> record(size_t count, const std::function<void(size_t)>& launch) try {
  std::vector<size_t> steps(count);
  for (size_t i = 0; i < count; ++i) steps[i] = i;
  Capture all = capture(steps, launch);
  cudaGraphExec_t exec = nullptr;
  require<DeviceError>(
      all.of_step.size() == count && cudaGraphInstantiate(&exec, all.graph, 0) == cudaSuccess,
      "[cuda] the steps do not make a graph.");
  return std::make_unique<Graph>(std::move(all), exec);
} catch (const DeviceError&) {  // launched one by one they may do, or say what is wrong
  cudaGetLastError();
  return nullptr;
}

}  // namespace tarn::cuda
