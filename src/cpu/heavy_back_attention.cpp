// The derivative of attention without the matrix of scores: a block of queries meets all keys that
// it sees, their weights are computed again, and five products of the block make its parts.
//
// With P the weights, dP = g vᵀ and dS = P (dP - rowsum(P dP)) scale: dq = dS k, dkᵀ = qᵀ dS and
// dvᵀ = gᵀ P. rowsum(g out) is the same number rounded otherwise: where one key has nearly all of a
// row's weight, little but that difference would be left of dS. A block's scores are kRows by the
// keys, so scratch grows with the length, not with its square. Work is shared by key heads, whose
// queries add to dk and dv in one order.

#include "cpu/heavy_back.h"
#include "cpu/heavy_row_loops.h"
#include "cpu/heavy_tile.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

using F32 = Stored<Store::f32>;
using Numbers = Operand<F32>;
constexpr int64_t kRows = 4 * kTileRows<float>;

// This worker's buffers. Rows of scores are `row` apart.
struct Room {
  int64_t row = 0;
  float* weights = nullptr;  // P, kRows of them
  float* slopes = nullptr;   // g vᵀ, then dS
  float* dk = nullptr;       // turned: key_dim rows
  float* dv = nullptr;
  float* gemm = nullptr;
};
int64_t row_floats(const Attention& a) { return round_up(a.length, kTileCols<float>); }
int64_t room_floats(const Attention& a) {
  return row_floats(a) * (2 * kRows + a.key_dim + a.value_dim) + round_up(kBlockScratch<float>, 16);
}
Room room_at(const Attention& a, float* at) {
  Room r;
  r.row = row_floats(a);
  r.weights = at;
  r.slopes = r.weights + kRows * r.row;
  r.dk = r.slopes + kRows * r.row;
  r.dv = r.dk + a.key_dim * r.row;
  r.gemm = r.dv + a.value_dim * r.row;
  return r;
}

TARN_INLINE const float* head_at(const void* base, const HeadStrides& t, int64_t batch,
                                 int64_t head, int64_t row) {
  return static_cast<const float*>(base) + batch * t.batch + head * t.head + row * t.row;
}

// A block of queries of one head, and the first `seen` keys.
struct Block {
  const AttentionBack* b = nullptr;
  Room room{};
  int64_t batch = 0, kv_head = 0, head = 0, first = 0, rows = 0, seen = 0;
  const Attention& a() const { return b->a; }
  const float* q() const { return head_at(a().q, a().q_at, batch, head, first); }
  const float* g() const { return head_at(b->g, b->g_at, batch, head, first); }
  const float* k() const { return head_at(a().k, a().k_at, batch, kv_head, 0); }
  const float* v() const { return head_at(a().v, a().v_at, batch, kv_head, 0); }
  // Scores to weights; -inf in `x` never: hidden keys weigh 0.
  int64_t visible(int64_t r) const {
    return a().causal ? first + r + a().length - a().queries + 1 : a().length;
  }
};

void weigh_row(float* x, int64_t visible, int64_t seen) {
  const float top = largest<Store::f32>(x, visible, 1.f);
  map_row<Store::f32>(x, x, visible, [&](Vf v, int64_t, int64_t) { return exp_of(v - top); });
  const auto inverse =
      static_cast<float>(1 / sum_of<Store::f32>(x, visible, 0.f, [](Vf v) { return v; }));
  map_row<Store::f32>(x, x, visible, [&](Vf v, int64_t, int64_t) { return v * inverse; });
  for (int64_t j = visible; j < seen; ++j) x[j] = 0;
}

// P and dS of the block's rows.
void weigh(const Block& b) {
  const Attention& a = b.a();
  const Room& r = b.room;
  multiply(Numbers{b.q(), a.q_at.row, 1, a.scale}, {0, b.rows}, Numbers{b.k(), a.k_at.row, 1, 1},
           {0, b.seen}, a.key_dim, r.weights, r.row, false, r.gemm);
  multiply(Numbers{b.g(), b.b->g_at.row, 1, 1}, {0, b.rows}, Numbers{b.v(), a.v_at.row, 1, 1},
           {0, b.seen}, a.value_dim, r.slopes, r.row, false, r.gemm);
  for (int64_t i = 0; i < b.rows; ++i) {
    float *p = r.weights + i * r.row, *s = r.slopes + i * r.row;
    weigh_row(p, b.visible(i), b.seen);
    const auto mean = static_cast<float>(sum_over(b.visible(i), [&](int64_t j, int64_t n) {
      return lanes_at<Store::f32>(p, j, n, 0.f) * lanes_at<Store::f32>(s, j, n, 0.f);
    }));
    map_row<Store::f32>(s, s, b.seen, [&](Vf v, int64_t j, int64_t n) {
      return (v - mean) * lanes_at<Store::f32>(p, j, n, 0.f) * a.scale;
    });
  }
}

void add_block(const Block& b) {
  const Attention& a = b.a();
  const Room& r = b.room;
  weigh(b);
  float* dq = b.b->dq + b.batch * b.b->batch_step + (b.head * a.queries + b.first) * a.key_dim;
  multiply(Numbers{r.slopes, r.row, 1, 1}, {0, b.rows}, Numbers{b.k(), 1, a.k_at.row, 1},
           {0, a.key_dim}, b.seen, dq, a.key_dim, false, r.gemm);
  multiply(Numbers{b.q(), 1, a.q_at.row, 1}, {0, a.key_dim}, Numbers{r.slopes, 1, r.row, 1},
           {0, b.seen}, b.rows, r.dk, r.row, true, r.gemm);
  multiply(Numbers{b.g(), 1, b.b->g_at.row, 1}, {0, a.value_dim}, Numbers{r.weights, 1, r.row, 1},
           {0, b.seen}, b.rows, r.dv, r.row, true, r.gemm);
}

void turn(const float* from, int64_t from_row, int64_t rows, int64_t cols, float* to) {
  for (int64_t j = 0; j < cols; ++j)
    for (int64_t i = 0; i < rows; ++i) to[j * rows + i] = from[i * from_row + j];
}

void run_head(const AttentionBack& b, const Room& room, int64_t batch, int64_t kv_head) {
  const Attention& a = b.a;
  const int64_t heads = a.q_heads / a.kv_heads;
  for (int64_t i = 0; i < (a.key_dim + a.value_dim) * room.row; ++i) room.dk[i] = 0;
  Block block{&b, room, batch, kv_head};
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t first = 0; first < a.queries; first += kRows) {
      block.head = kv_head * heads + h, block.first = first;
      block.rows = smaller(kRows, a.queries - first);
      block.seen = block.visible(block.rows - 1);
      add_block(block);
    }
  const int64_t at = batch * b.batch_step + kv_head * a.length * a.key_dim;
  turn(room.dk, room.row, a.key_dim, a.length, b.dk + at);
  turn(room.dv, room.row, a.value_dim, a.length,
       b.dv + batch * b.batch_step + kv_head * a.length * a.value_dim);
}

}  // namespace

size_t attention_back_scratch(const AttentionBack& b, int workers) {
  return static_cast<size_t>(room_floats(b.a)) * sizeof(float) * static_cast<size_t>(workers);
}

void attention_back(const AttentionBack& b, int worker, int workers) {
  const Attention& a = b.a;
  const Room room = room_at(a, static_cast<float*>(a.scratch) + room_floats(a) * worker);
  const Range mine = share(a.batch * a.kv_heads, 1, worker, workers);
  for (int64_t u = mine.begin; u < mine.end; ++u) run_head(b, room, u / a.kv_heads, u % a.kv_heads);
}

}  // namespace tarn::cpu::TARN_LEVEL
