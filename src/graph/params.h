// What an op was told besides its inputs: a small value that can be compared, hashed, printed and
// read back from its print.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/text.h"
#include "graph/parse_fields.h"
#include "graph/resize.h"
#include "tarn/dtype.h"
#include "tarn/fields.h"
#include "tarn/shape.h"

namespace tarn {

using Axes = SmallVector<int, 4>;

namespace detail {

inline void hash_field(Hash& h, bool v) { h.add(v); }
inline void hash_field(Hash& h, Dtype v) { h.add(static_cast<uint64_t>(v.val)); }
inline void hash_field(Hash& h, const std::string& v) { h.add(std::string_view(v)); }
template <class T>
requires std::is_integral_v<T> || std::is_enum_v<T>
void hash_field(Hash& h, T v) { h.add(static_cast<uint64_t>(v)); }
inline void hash_field(Hash& h, double v) { h.add(__builtin_bit_cast(uint64_t, v)); }
inline void hash_field(Hash& h, float v) { h.add(__builtin_bit_cast(uint32_t, v)); }
template <class T>
void hash_field(Hash& h, const std::shared_ptr<T>& v) {
  h.add(reinterpret_cast<uintptr_t>(v.get()));
}
template <class T, unsigned N>
void hash_field(Hash& h, const SmallVector<T, N>& v) {
  h.add(v.size());
  for (auto x : v) hash_field(h, x);
}

template <class T>
std::string print_field(const T& v) {
  if constexpr (std::is_same_v<T, Dtype>)
    return name_of(v);
  else if constexpr (std::is_enum_v<T>)
    return fmt::format("{}", static_cast<int>(v));
  else if constexpr (std::is_same_v<T, std::string>)
    return in_quotes(v);
  else if constexpr (requires { v.begin(); }) {
    std::string text = "(";
    for (auto x : v) text += (text.size() > 1 ? ", " : "") + print_field(x);
    return text + ")";
  } else if constexpr (requires { v.get(); }) {
    return "function";
  } else {
    return fmt::format("{}", v);
  }
}

// Numbers that may be sizes: those in a shape and single 64-bit ones.
template <class T>
void resize_field(T& v, const SizeChange& sizes) {
  if constexpr (std::is_same_v<T, Shape>)
    for (auto& d : v) d = sizes.of(d);
  else if constexpr (std::is_same_v<T, int64_t>)
    v = sizes.of(v);
}

template <class P>
concept HasRuntimeFields = requires(P& p) {
  P::runtime_fields(p, [](std::string_view, auto&) {});
};

}  // namespace detail

class Params;

// The functions of one parameter type. `hash` covers the static fields, `hash_runtime` the others.
struct ParamsType {
  bool small;
  void (*hash)(const void*, Hash&);
  void (*hash_runtime)(const void*, Hash&);  // null when every field is static
  std::string (*print)(const void*);
  // Nothing unless `text` is what print gives. Says nothing about what the values mean.
  std::optional<Params> (*parse)(std::string_view text);
  // With each number that may be a size turned into what it is now.
  Params (*resized)(const void*, const SizeChange&);
};

class Params {
 public:
  Params() = default;
  template <class P>
  requires(!std::is_same_v<std::remove_cvref_t<P>, Params>) Params(P value);
  Params(const Params& o) { share(o); }
  Params(Params&& o) noexcept {
    std::memcpy(static_cast<void*>(this), &o, sizeof(Params));
    o.type_ = nullptr;
  }
  Params& operator=(Params o) noexcept {
    std::byte other[sizeof(Params)];
    std::memcpy(other, &o, sizeof(Params));
    std::memcpy(static_cast<void*>(&o), this, sizeof(Params));
    std::memcpy(static_cast<void*>(this), other, sizeof(Params));
    return *this;
  }
  ~Params() {
    if (type_ && !type_->small && block_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete block_;
  }

  template <class P>
  const P& as() const {
    return *static_cast<const P*>(value());
  }
  bool empty() const { return type_ == nullptr; }
  void hash(Hash& h) const {
    if (type_) type_->hash(value(), h);
  }
  bool has_runtime() const { return type_ && type_->hash_runtime; }
  void hash_runtime(Hash& h) const {
    if (has_runtime()) type_->hash_runtime(value(), h);
  }
  std::string print() const { return type_ ? type_->print(value()) : ""; }
  Params resized(const SizeChange& sizes) const {
    return type_ ? type_->resized(value(), sizes) : Params();
  }
  friend bool operator==(const Params& a, const Params& b) {
    Hash ha, hb;
    a.hash(ha), a.hash_runtime(ha);
    b.hash(hb), b.hash_runtime(hb);
    return a.type_ == b.type_ && ha == hb;
  }
  template <class P>
  static const ParamsType type;

 private:
  struct Block {
    std::atomic<uint32_t> refs{1};
    virtual ~Block() = default;
    virtual const void* value() const = 0;
  };
  template <class P>
  struct BlockOf : Block {
    P held;
    explicit BlockOf(P v) : held(std::move(v)) {}
    const void* value() const override { return &held; }
  };
  static constexpr size_t inside_bytes = 40;
  template <class P>
  static constexpr bool fits = std::is_trivially_copyable_v<P> && sizeof(P) <= inside_bytes;

  const void* value() const { return type_->small ? inside_ : block_->value(); }
  void share(const Params& o) {
    std::memcpy(static_cast<void*>(this), &o, sizeof(Params));
    if (type_ && !type_->small) block_->refs.fetch_add(1, std::memory_order_relaxed);
  }

  const ParamsType* type_ = nullptr;
  union {
    alignas(8) std::byte inside_[inside_bytes];
    Block* block_;
  };
};

template <class P>
constexpr ParamsType Params::type{
    fits<P>,
    [](const void* p, Hash& h) {
      P::fields(*static_cast<const P*>(p),
                [&](std::string_view, const auto& v) { detail::hash_field(h, v); });
    },
    [] {
      void (*runtime)(const void*, Hash&) = nullptr;
      if constexpr (detail::HasRuntimeFields<const P>)
        runtime = [](const void* p, Hash& h) {
          P::runtime_fields(*static_cast<const P*>(p),
                            [&](std::string_view, const auto& v) { detail::hash_field(h, v); });
        };
      return runtime;
    }(),
    [](const void* p) {
      std::string text;
      auto add = [&](std::string_view name, const auto& v) {
        text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, detail::print_field(v));
      };
      P::fields(*static_cast<const P*>(p), add);
      if constexpr (detail::HasRuntimeFields<const P>)
        P::runtime_fields(*static_cast<const P*>(p), add);
      return text;
    },
    [](std::string_view text) {
      P p{};
      detail::FieldParser parser(text);
      P::fields(p, parser);
      if constexpr (detail::HasRuntimeFields<const P>) P::runtime_fields(p, parser);
      return parser.done() ? std::optional<Params>(std::in_place, std::move(p)) : std::nullopt;
    },
    [](const void* from, const SizeChange& sizes) {
      P p = *static_cast<const P*>(from);
      auto resize = [&](std::string_view, auto& v) { detail::resize_field(v, sizes); };
      P::fields(p, resize);
      if constexpr (detail::HasRuntimeFields<const P>) P::runtime_fields(p, resize);
      return Params(std::move(p));
    }};

template <class P>
requires(!std::is_same_v<std::remove_cvref_t<P>, Params>) Params::Params(P value)
    : type_(&type<P>) {
  if constexpr (fits<P>)
    new (inside_) P(value);
  else
    block_ = new BlockOf<P>(std::move(value));
}

}  // namespace tarn
