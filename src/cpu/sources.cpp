// Kernels that make numbers: ranges and random bits.
#include <algorithm>
#include <cstring>

#include "cpu/move.h"
#include "cpu/number.h"
#include "cpu/share.h"
#include "ops/compound.h"
#include "ops/threefry.h"

namespace tarn::cpu {
namespace {

void run_arange(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::Arange::P>();
  Share part = share(s.out.size(), worker, workers, 1024);
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    T* y = s.out.as<T>();
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      auto start = static_cast<int64_t>(p.start), step = static_cast<int64_t>(p.step);
      for (int64_t i = part.from; i < part.to; ++i) y[i] = static_cast<T>(start + i * step);
    } else if constexpr (is_half<T> || std::is_same_v<T, float>) {
      // In the type itself, as MLX does: start + i * step rounds twice.
      auto start = static_cast<float>(T(static_cast<float>(p.start)));
      auto step = static_cast<float>(T(static_cast<float>(p.start + p.step))) - start;
      for (int64_t i = part.from; i < part.to; ++i) y[i] = T(start + static_cast<float>(i) * step);
    } else if constexpr (std::is_same_v<T, double>) {
      for (int64_t i = part.from; i < part.to; ++i)
        y[i] = p.start + static_cast<double>(i) * p.step;
    } else {
      for (int64_t i = part.from; i < part.to; ++i)
        y[i] = T(static_cast<float>(p.start + static_cast<double>(i) * p.step));
    }
  });
}

void run_element_count(const Step& s, int, int) {
  double count = s.params->as<ops::ElementCount::P>().value();
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (std::is_integral_v<T> || std::is_same_v<T, double>)
      *s.out.as<T>() = static_cast<T>(count);
    else
      *s.out.as<T>() = T(static_cast<float>(count));
  });
}

void run_random_bits(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::RandomBits::P>();
  int64_t each = p.width;
  for (auto d : p.shape) each *= d;
  auto words = static_cast<uint64_t>((each + 3) / 4);
  int64_t keys = s.in[0].size() / 2;
  const auto* key = s.in[0].as<const uint32_t>();
  auto* out = s.out.as<std::byte>();
  Share part = share(keys * static_cast<int64_t>(words), worker, workers, 256);
  for (int64_t i = part.from; i < part.to; ++i) {
    int64_t k = i / static_cast<int64_t>(words), w = i % static_cast<int64_t>(words);
    uint32_t word = ops::stream_word(key[2 * k], key[2 * k + 1], static_cast<uint64_t>(w), words);
    int64_t n = std::min<int64_t>(4, each - w * 4);
    std::memcpy(out + k * each + w * 4, &word, static_cast<size_t>(n));
  }
}
double random_cost(const Step& s) { return 10.0 * static_cast<double>(s.out.size()); }

}  // namespace

void add_sources(KernelTable& t) {
  t.add(ops::op_of<ops::Arange>, {.run = run_arange, .name = "range"});
  t.add(ops::op_of<ops::ElementCount>,
        {.run = run_element_count, .cost = [](const Step&) { return 10.0; }, .name = "number"});
  t.add(ops::op_of<ops::RandomBits>,
        {.run = run_random_bits, .cost = random_cost, .name = "threefry"});
}

}  // namespace tarn::cpu
