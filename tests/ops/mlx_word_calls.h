// Dtypes, shapes, operators, members, printed text and words of the runtime by name, for
// mlx_driver. What is no array comes back as one: a dtype as an empty array of it, text as uint8.
#pragma once

#include <sstream>

#include "ops/mlx_calls.h"

namespace tarn::mlx_test {

inline array numbers_of(const std::vector<int64_t>& values) {
  return array(values.begin(), Shape{static_cast<int64_t>(values.size())}, int64);
}
inline array text_of(const std::string& text) {
  std::vector<int> bytes(text.begin(), text.end());
  return array(bytes.begin(), Shape{static_cast<int64_t>(bytes.size())}, uint8);
}
inline array dtype_as_array(Dtype t) { return zeros(Shape{0}, t); }

inline Dtype::Category category(const std::string& name) {
  for (auto [word, c] : {std::pair{"complexfloating", complexfloating},
                         {"floating", floating},
                         {"inexact", inexact},
                         {"signedinteger", signedinteger},
                         {"unsignedinteger", unsignedinteger},
                         {"integer", integer},
                         {"number", number},
                         {"generic", generic}})
    if (name == word) return c;
  throw ValueError("no category " + name);
}

inline void add_dtype_words(Calls& calls) {
  calls["result_type"] = [](const Case& c) {
    return Arrays{
        dtype_as_array(c.in.size() == 3 ? result_type(c[0], c[1], c[2]) : result_type(c[0], c[1]))};
  };
  calls["promote_types"] = [](const Case& c) {
    return Arrays{dtype_as_array(promote_types(c.dtype("a"), c.dtype("b")))};
  };
  calls["issubdtype"] = [](const Case& c) {
    std::string a = c.word("a"), b = c.word("b");
    bool dtype_a = c.flag("dtype_a"), dtype_b = c.flag("dtype_b");
    if (dtype_a && dtype_b) return Arrays{array(issubdtype(Case::named(a), Case::named(b)))};
    if (dtype_a) return Arrays{array(issubdtype(Case::named(a), category(b)))};
    if (dtype_b) return Arrays{array(issubdtype(category(a), Case::named(b)))};
    return Arrays{array(issubdtype(category(a), category(b)))};
  };
  calls["finfo"] = [](const Case& c) {
    finfo f(c.dtype());
    std::vector<double> values{f.min, f.max, f.eps, f.smallest_normal, double(f.bits)};
    return Arrays{array(values.begin(), Shape{5}, float64)};
  };
  calls["iinfo"] = [](const Case& c) {
    iinfo i(c.dtype());
    return Arrays{array(i.min, int64), array(i.max, uint64)};
  };
  calls["broadcast_shapes"] = [](const Case& c) {
    Shape out = broadcast_shapes(c.shape("a"), c.shape("b"));
    return Arrays{numbers_of({out.begin(), out.end()})};
  };
  calls["einsum_path"] = [](const Case& c) {
    std::vector<int64_t> flat;
    for (const auto& step : einsum_path(c.word("subscripts"), c.in).first)
      flat.insert(flat.end(), step.begin(), step.end());
    return Arrays{numbers_of(flat)};
  };
}

inline void add_operators(Calls& calls) {
  using Binary = array (*)(const array&, const array&);
  const std::map<std::string, Binary> signs{
      {"+", operator+ },
       {"-", operator- },
        {"*", operator* },
         {"/", operator/ },
          {"%", operator% },
           {"==", operator== },
            {"!=", operator!= },
             {"<", operator<},
              {"<=", operator<= },
               {">", operator> },
                {">=", operator>= },
                 {"&", operator& },
                  {"|", operator| }, {"^", operator^ }, {"<<", operator<< }, {">>", operator>> } };
  calls["operator"] = [signs](const Case& c) {
    if (c.in.size() == 1) return Arrays{c.word("sign") == "-" ? -c[0] : ~c[0]};
    return Arrays{signs.at(c.word("sign"))(c[0], c[1])};
  };
}

inline void add_members(Calls& calls) {
  calls["facts"] = [](const Case& c) {
    std::vector<int64_t> out{static_cast<int64_t>(c[0].size()), static_cast<int64_t>(c[0].ndim()),
                             static_cast<int64_t>(c[0].nbytes()),
                             static_cast<int64_t>(c[0].itemsize())};
    for (auto d : c[0].shape()) out.push_back(d);
    return Arrays{numbers_of(out)};
  };
  calls["rows"] = [](const Case& c) {
    Arrays out;
    for (const array& row : c[0]) out.push_back(row);
    return out;
  };
  calls["item"] = [](const Case& c) {
    switch (c[0].dtype().val) {
      case Dtype::Val::bool_:
        return Arrays{array(c[0].item<bool>())};
      case Dtype::Val::complex64:
        return Arrays{array(c[0].item<complex64_t>())};
      case Dtype::Val::uint64:
        return Arrays{array(c[0].item<uint64_t>(), uint64)};
      default:
        return issubdtype(c[0].dtype(), integer) ? Arrays{array(c[0].item<int64_t>(), int64)}
                                                 : Arrays{array(c[0].item<double>(), float64)};
    }
  };
  calls["printed"] = [](const Case& c) {
    std::ostringstream out;
    set_printoptions({c.number("precision", -1)});
    out << c[0];
    set_printoptions({});
    return Arrays{text_of(out.str())};
  };
}

inline void add_runtime_words(Calls& calls) {
  calls["depends"] = [](const Case& c) { return depends({c[0]}, {c[1]}); };
  calls["async_eval"] = [](const Case& c) {
    array y = exp(c[0]) + c[0];
    async_eval(y);
    return Arrays{y};
  };
  calls["limits"] = [](const Case& c) {
    auto most = c.args.at("limit").get<size_t>();
    size_t memory = set_memory_limit(most), cache = set_cache_limit(most);
    std::vector<int64_t> out{
        static_cast<int64_t>(get_memory_limit()), static_cast<int64_t>(set_memory_limit(memory)),
        static_cast<int64_t>(set_cache_limit(cache)), get_memory_limit() == memory};
    return Arrays{numbers_of(out)};
  };
  calls["memory"] = [](const Case& c) {
    synchronize();  // what async_eval was given is let go of
    clear_cache();
    size_t before = get_active_memory(), empty = get_cache_memory();
    array made = c[0] + c[0];
    made.eval();
    reset_peak_memory();
    bool more = get_active_memory() >= before + made.nbytes();
    bool peak = get_peak_memory() >= get_active_memory();
    bool blocks = get_array_buffer_size({made, made}) >= made.nbytes() &&
                  get_array_buffer_size({made, made}) < 2 * made.nbytes();
    return Arrays{numbers_of({more, peak, blocks, empty == 0})};
  };
  calls["devices"] = [](const Case& c) {
    Device cpu(Device::cpu);
    Stream one = new_stream(cpu), other = new_stream(cpu), was = default_stream(cpu);
    bool inside = false;
    {
      StreamContext context(one);
      inside = default_stream(cpu) == one;
    }
    set_default_stream(other);
    bool set = default_stream(cpu) == other;
    set_default_stream(was);
    array y = add(c[0], c[0], one);
    synchronize(one);
    return Arrays{
        numbers_of({default_device() == cpu, is_available(cpu), device_count(Device::cpu),
                    one == other, was.device == cpu, inside, set, default_stream(cpu) == was}),
        y};
  };
}

inline void add_words(Calls& calls) {
  add_dtype_words(calls);
  add_operators(calls);
  add_members(calls);
  add_runtime_words(calls);
}

}  // namespace tarn::mlx_test
