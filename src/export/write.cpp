// Recordings as bytes. docs/function-files.md has the format.
#include <unordered_map>

#include "base/require.h"
#include "export/bytes.h"
#include "export/function_file.h"
#include "io/row_major.h"
#include "ops/valid.h"

namespace tarn {
namespace {

class Out {
 public:
  std::string bytes{};

  template <class T>
  void number(T v) {
    bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  void count(size_t n) {
    require<OverflowError>(n <= UINT32_MAX, "[export_function] {} parts; a file counts to 2^32.",
                           n);
    number(static_cast<uint32_t>(n));
  }
  void text(std::string_view t) {
    count(t.size());
    bytes.append(t);
  }
  void spec(const ArraySpec& s) {
    text(name_of(s.dtype));
    count(s.shape.size());
    for (auto d : s.shape) number(d);
  }
};

// The constants of all traces, each once.
struct Constants {
  Arrays all{};
  std::unordered_map<Node*, int> known{};

  int index_of(const array& a) {
    auto [it, added] = known.try_emplace(a.node(), static_cast<int>(all.size()));
    if (added) all.push_back(a);
    return it->second;
  }
};

void write_trace(Out& out, const Trace& t, Constants& constants) {
  const Recording& r = t.recording;
  auto reference = [&](int i) {
    return i >= 0 ? i : ~constants.index_of(r.constants[static_cast<size_t>(~i)]);
  };
  out.number(static_cast<uint8_t>(t.shapeless));
  out.count(t.positional);
  out.count(t.keywords.size());
  for (const auto& k : t.keywords) out.text(k);
  for (size_t i = 0; i < r.arguments.size(); ++i) {
    out.spec(r.arguments[i]);
    if (t.shapeless)
      for (int c : t.classes[i]) out.number(static_cast<int32_t>(c));
  }
  out.count(r.calls.size());
  for (const auto& c : r.calls) {
    out.text(c.op->name);
    out.text(c.params.print());
    out.count(c.in.size());
    for (int i : c.in) out.number(static_cast<int32_t>(reference(i)));
  }
  out.count(r.outputs.size());
  for (int i : r.outputs) out.number(static_cast<int32_t>(reference(i)));
}

uint64_t aligned(uint64_t at) {
  return (at + function_file::alignment - 1) / function_file::alignment * function_file::alignment;
}

}  // namespace

Recording portable(const Recording& r) {
  Recording out;
  out.arguments = r.arguments;
  out.constants = r.constants;
  std::vector<int> now;  // where each value is
  for (size_t i = 0; i < r.arguments.size(); ++i) now.push_back(static_cast<int>(i));
  auto moved = [&](int i) { return i >= 0 ? now[static_cast<size_t>(i)] : i; };
  for (const auto& c : r.calls) {
    if (c.op->transparent) {
      now.push_back(moved(c.in[0]));
      continue;
    }
    require(ops::has_check(*c.op),
            "[export_function] the operation {} cannot be written to a file: {}.", c.op->name,
            c.op->kernels_of ? "it is the program's own" : "no check of its parameters is known");
    now.push_back(static_cast<int>(r.arguments.size() + out.calls.size()));
    out.calls.push_back(c);
    for (int& i : out.calls.back().in) i = moved(i);
  }
  for (int i : r.outputs) out.outputs.push_back(moved(i));
  return out;
}

void write_function(io::AtomicFile& file, const FunctionFile& f) {
  Constants constants;
  Out traces;
  traces.count(f.traces.size());
  for (const auto& t : f.traces) write_trace(traces, t, constants);

  Out header;
  header.text(f.library);
  header.text(f.metadata);
  header.count(constants.all.size());
  uint64_t at = 0;
  for (const auto& c : constants.all) {
    header.spec({c.shape(), c.dtype()});
    header.number(at);
    at = aligned(at + c.nbytes());
  }
  header.bytes += traces.bytes;

  Out front;
  front.bytes.append(function_file::magic);
  front.number(function_file::version);
  front.number(static_cast<uint64_t>(header.bytes.size()));
  front.number(function_file::checksum(std::as_bytes(std::span(header.bytes))));
  file.write(front.bytes);
  file.write(header.bytes);
  for (const auto& c : constants.all) {
    file.write(std::string(aligned(file.size()) - file.size(), '\0'));
    file.write(io::RowMajor(c).bytes());
  }
}

}  // namespace tarn
