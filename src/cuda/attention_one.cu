// Attention of one query a sequence, as decoding has it, with what stands in front of it: queries
// and the new key are turned, and the new key and value appended to the cache.
//
// A cluster of blocks takes the heads that share keys. Keys are dealt to its blocks and warps in
// turn. Softmaxes are joined in an order that does not change: over a warp's lanes, over warps in
// shared memory, over blocks in that of the block which writes the columns. Sums are float.
#include <cmath>

#include "cuda/attention_floats.cuh"
#include "cuda/attention_halves.cuh"
#include "cuda/attention_join.cuh"
#include "cuda/launch.cuh"

namespace tarn::cuda {
namespace {

using namespace one_query;

template <class T, int dim, int heads>
struct With {
  using Attender = AttenderOfHalves<T, dim, heads>;
};
template <int dim, int heads>
struct With<float, dim, heads> {
  using Attender = AttenderOfFloats<dim, heads>;
};

template <class T, int dim, int heads>
__global__ void __maxnreg__(most_registers) attend(const __grid_constant__ OneQueryCall c) {
  using Of = typename With<T, dim, heads>::Attender;
  extern __shared__ __align__(16) char shared[];
  auto& room = *reinterpret_cast<typename Of::Room*>(shared);
  auto& parts = *reinterpret_cast<Parts<dim, heads>*>(shared + sizeof room);
  arrive_at_cluster();  // nothing is sent to a block that is not there yet
  const Heads h = heads_of<heads>(c);
  Of attender(c, h, room);
  attender.prepare();
  wait_for_queue();
  let_next_begin();
  attender.take_in();
  attender.attend();
  wait_for_cluster();
  send<dim, heads>(room.of_warps, parts);
  arrive_at_cluster();
  wait_for_cluster();
  finish<dim, heads>(c.call, h, parts);
}

// A power of two, so that columns are dealt evenly.
unsigned shares_of(int64_t places, int processors) {
  unsigned shares = most_shares;
  while (shares > 1 && shares * places > 2 * processors) shares /= 2;
  return shares;
}
OneQueryCall one_query_call(const AttentionCall& c, int heads) {
  OneQueryCall o;
  o.call = c;
  o.group = static_cast<int>(c.q_heads / c.kv_heads), o.pieces = (o.group + heads - 1) / heads;
  for (int i = 0; i < c.turn.dims / 2; ++i)
    o.rates[i] = double{c.turn.scale} * std::pow(double{c.turn.base}, -2.0 * i / c.turn.dims);
  return o;
}
template <class T, int dim, int heads>
void launch_heads(const AttentionCall& c, int processors, cudaStream_t queue) {
  auto kernel = attend<T, dim, heads>;
  constexpr size_t bytes =
      sizeof(typename With<T, dim, heads>::Attender::Room) + sizeof(Parts<dim, heads>);
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  (void)allowed;  // a launch that needs it says so
  const OneQueryCall o = one_query_call(c, heads);
  const int64_t places = c.kv_heads * o.pieces;
  const unsigned shares = shares_of(c.batch * places, processors);
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {shares, 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shares, static_cast<unsigned>(places), static_cast<unsigned>(c.batch));
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = bytes, config.stream = queue;
  config.attrs = attributes, config.numAttrs = c.early ? 2 : 1;
  cudaLaunchKernelEx(&config, kernel, o);  // the caller asks for the last error
}
template <class T, int dim>
void launch(const AttentionCall& c, int processors, cudaStream_t queue) {
  constexpr int most = __is_same(T, float) ? most_heads : most_heads_of_halves;
  with_heads(c, [&]<int heads>() {
    launch_heads<T, dim, (heads < most ? heads : most)>(c, processors, queue);
  });
}
template <class T>
void launch_dim(const AttentionCall& c, int processors, cudaStream_t queue) {
  if (c.key_dim == 64) return launch<T, 64>(c, processors, queue);
  launch<T, 128>(c, processors, queue);
}

}  // namespace

bool one_query_fits(const AttentionCall& c, int major) {
  constexpr int64_t most_places = 4096;
  return major >= 9 && (c.key_dim == 64 || c.key_dim == 128) && c.value_dim == c.key_dim &&
         c.queries == 1 && c.type == float_column && c.softcap <= 0 && c.window <= 0 &&
         c.masked == Mask::none && in_parts(c) && c.q_heads <= most_places &&
         c.batch <= most_places;
}
void launch_one_query(const AttentionCall& c, int processors, cudaStream_t queue) {
  with_float_type(c.kv_type, [&]<class T>(T) { launch_dim<T>(c, processors, queue); });
}

}  // namespace tarn::cuda
