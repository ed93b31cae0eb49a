// The program that computes cases for an oracle test: the body of mlx_driver and its like.
//
//   driver CASES INPUT RESULTS OUTPUT
//   driver --list             the names of the calls it knows
//
// CASES has a JSON object a line: {"op", "in": [{"dtype", "shape", "at"}], "args"}. Elements lie in
// INPUT at byte `at`, row-contiguous. RESULTS gets a line for each: {"out": [...]} alike, with the
// elements in OUTPUT, or {"error": "..."}.
#pragma once

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "ops/mlx_calls.h"

namespace tarn::mlx_test {

inline std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline array input(const Json& what, const std::string& bytes) {
  Dtype t = Case::named(what.at("dtype").get<std::string>());
  auto v = what.at("shape").get<std::vector<int64_t>>();
  Shape shape(v.begin(), v.end());
  size_t size = t.size;
  for (auto d : shape) size *= static_cast<size_t>(d);
  auto* copy = new std::byte[size + 8];
  std::memcpy(copy, bytes.data() + what.at("at").get<size_t>(), size);
  return array(copy, shape, t, [](void* p) { delete[] static_cast<std::byte*>(p); });
}

inline Json computed(const Calls& calls, const Json& line, const std::string& bytes,
                     std::ofstream& output) {
  Case c;
  for (const auto& what : line.at("in")) c.in.push_back(input(what, bytes));
  c.args = line.at("args");
  auto call = calls.find(line.at("op").get<std::string>());
  if (call == calls.end()) return {{"unknown", true}};
  try {
    Json out = Json::array();
    for (const array& a : call->second(c)) {
      array flat = contiguous(a);
      flat.eval();
      auto at = static_cast<int64_t>(output.tellp());
      output.write(flat.data<char>(), static_cast<std::streamsize>(flat.nbytes()));
      std::vector<int64_t> shape(a.shape().begin(), a.shape().end());
      out.push_back({{"dtype", name_of(a.dtype())}, {"shape", shape}, {"at", at}});
    }
    return {{"out", out}};
  } catch (const Error& e) {
    return {{"error", e.message()}};
  }
}

inline int run_driver(const Calls& calls, int count, char** words) {
  if (count == 2 && std::string(words[1]) == "--list") {
    for (const auto& [name, call] : calls) std::printf("%s\n", name.c_str());
    return 0;
  }
  if (count != 5) {
    std::fprintf(stderr, "usage: driver CASES INPUT RESULTS OUTPUT\n");
    return 2;
  }
  std::ifstream cases(words[1]);
  std::string bytes = read(words[2]), line;
  std::ofstream results(words[3]), output(words[4], std::ios::binary);
  while (std::getline(cases, line))
    results << computed(calls, Json::parse(line), bytes, output).dump() << '\n';
  return 0;
}

}  // namespace tarn::mlx_test
