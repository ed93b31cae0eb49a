// Function files into recordings. Nothing in the file is believed: counts are held against the
// bytes that are left, references against what is there, parameters against the op's own check.
#include <map>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/printable.h"
#include "base/require.h"
#include "export/bytes.h"
#include "export/function_file.h"
#include "ops/all.h"
#include "ops/valid.h"

namespace tarn {
namespace {

constexpr size_t most_axes = 64;
constexpr int64_t most_bytes = int64_t{1} << 46;

const std::map<std::string_view, const Op*>& ops_by_name() {
  static const auto table = [] {
    std::map<std::string_view, const Op*> t;
    for (const Op* op : ops::all()) t.emplace(op->name, op);
    return t;
  }();
  return table;
}

void check_size(const ArraySpec& s) {
  std::optional<int64_t> bytes = s.dtype.size;
  bool fits = true;
  for (auto d : s.shape) {
    bytes = bytes ? checked_mul(*bytes, d) : bytes;
    fits &= d <= most_bytes;  // a size of 0 beside it hides it from the product
  }
  require<ShapeError>(fits && bytes && *bytes <= most_bytes, "no array has the shape ({})",
                      joined(s.shape));
}

void check_call(const Recording::CallOf& c, const Arrays& in) {
  ops::check_call(*c.op, c.params, in);
  ArraySpec spec = c.op->infer(c.params, in);
  check_size(spec);
}

class In {
 public:
  In(const std::shared_ptr<const io::FileBytes>& file)
      : file_(file), name_(printable(file->path(), 4096)), reader_(file->bytes(), name_) {}

  FunctionFile read() {
    front();
    FunctionFile f;
    f.library = text("the library's version");
    f.metadata = text("the metadata");
    size_t constants = count(4 + 4 + 8, "constants");
    for (size_t i = 0; i < constants; ++i) constants_.push_back(constant());
    size_t traces = count(1 + 4 + 4 + 4 + 4, "recordings");
    for (size_t i = 0; i < traces; ++i) f.traces.push_back(trace());
    require_here(reader_.remaining() == 0, "{} bytes are left over.", reader_.remaining());
    return f;
  }

 private:
  template <class... A>
  void require_here(bool ok, fmt::format_string<A...> what, A&&... args) {
    if (ok) return;
    fail<FileError>("[import_function] {}: byte {}: {}", name_, base_ + reader_.offset(),
                    fmt::format(what, std::forward<A>(args)...));
  }

  void front() {
    auto all = file_->bytes();
    require_here(all.size() >= function_file::front_bytes &&
                     reader_.text(8, "magic") == function_file::magic,
                 "this is no function that Tarn exported.");
    auto version = reader_.read<uint32_t>("version");
    require_here(version == function_file::version,
                 "the format has version {}; this library reads version {}.", version,
                 function_file::version);
    auto bytes = reader_.read<uint64_t>("size of the header");
    auto sum = reader_.read<uint64_t>("checksum");
    auto header = reader_.take(bytes, "the header");
    require_here(function_file::checksum(header) == sum,
                 "the header does not have the checksum that was written with it. The file is "
                 "damaged; fetch it again.");
    base_ = function_file::front_bytes;
    uint64_t end = base_ + header.size();
    data_begin_ =
        (end + function_file::alignment - 1) / function_file::alignment * function_file::alignment;
    reader_ = ByteReader(header, name_);
  }

  // How many there are; each takes at least `least` bytes.
  size_t count(size_t least, std::string_view what) {
    auto n = reader_.read<uint32_t>(what);
    require_here(n <= reader_.remaining() / least, "{} {}, and only {} bytes are left for them.", n,
                 what, reader_.remaining());
    return n;
  }
  std::string text(std::string_view what) {
    auto n = reader_.read<uint32_t>(what);
    return std::string(reader_.text(n, what));
  }

  ArraySpec spec() {
    ArraySpec s;
    std::string dtype = text("a dtype");
    std::string_view rest = dtype;
    require_here(detail::parse_dtype(rest, s.dtype) && rest.empty(), "no dtype is called \"{}\".",
                 printable(dtype));
    size_t axes = count(8, "axes");
    require_here(axes <= most_axes, "{} axes; at most {} are read.", axes, most_axes);
    for (size_t i = 0; i < axes; ++i) s.shape.push_back(reader_.read<int64_t>("a size"));
    try {
      check_size(s);
    } catch (const ShapeError& e) {
      require_here(false, "{}.", e.what());
    }
    return s;
  }

  array constant() {
    ArraySpec s = spec();
    auto at = reader_.read<uint64_t>("the place of a constant");
    uint64_t bytes = s.dtype.size;
    for (auto d : s.shape) bytes *= static_cast<uint64_t>(d);
    auto all = file_->bytes();
    uint64_t room = all.size() - std::min<uint64_t>(all.size(), data_begin_);
    require_here(bytes == 0 || (at <= room && bytes <= room - at),
                 "a constant lies in the bytes {} to {} of {}. The file is cut off or damaged; "
                 "fetch it again.",
                 at, at + bytes, room);
    auto part = bytes == 0 ? std::span<const std::byte>() : all.subspan(data_begin_ + at, bytes);
    return io::alias(file_, part, s.shape, s.dtype);
  }

  Trace trace() {
    Trace t;
    auto shapeless = reader_.read<uint8_t>("whether sizes may vary");
    require_here(shapeless <= 1, "{} where 0 or 1 is needed.", shapeless);
    t.shapeless = shapeless == 1;
    t.positional = count(8, "arguments");
    size_t keywords = count(4 + 8, "keyword arguments");
    for (size_t i = 0; i < keywords; ++i) {
      t.keywords.push_back(text("a keyword"));
      require_here(i == 0 || t.keywords[i - 1] < t.keywords[i], "keywords are not in order.");
    }
    Recording& r = t.recording;
    r.constants = constants_;
    for (size_t i = 0; i < t.positional + keywords; ++i) argument(t);
    values_.clear();
    for (const auto& s : r.arguments) values_.push_back(new_placeholder(s));
    size_t calls = count(4 + 4 + 4, "operations");
    for (size_t i = 0; i < calls; ++i) r.calls.push_back(call());
    size_t outputs = count(4, "results");
    for (size_t i = 0; i < outputs; ++i) r.outputs.push_back(reference());
    return t;
  }

  void argument(Trace& t) {
    t.recording.arguments.push_back(spec());
    size_t axes = t.recording.arguments.back().shape.size();
    std::vector<int> classes(axes, Trace::fixed);
    for (size_t k = 0; k < axes && t.shapeless; ++k) {
      classes[k] = reader_.read<int32_t>("whether a size may vary");
      require_here(classes[k] >= Trace::fixed, "{} where -1 or more is needed.", classes[k]);
    }
    t.classes.push_back(std::move(classes));
  }

  int reference() {
    auto i = reader_.read<int32_t>("a reference");
    bool there = i >= 0 ? static_cast<size_t>(i) < values_.size()
                        : static_cast<size_t>(~i) < constants_.size();
    require_here(there, "a reference to value {}, and there are {} and {} constants before it.", i,
                 values_.size(), constants_.size());
    return i;
  }

  Recording::CallOf call() {
    Recording::CallOf c;
    std::string name = text("an operation");
    auto op = ops_by_name().find(name);
    require_here(op != ops_by_name().end() && ops::has_check(*op->second),
                 "no operation that a file can hold is called \"{}\".", printable(name));
    c.op = op->second;
    c.params = params_of(*c.op, text("parameters"));
    size_t inputs = count(4, "inputs");
    Arrays in;
    for (size_t i = 0; i < inputs; ++i) {
      c.in.push_back(reference());
      in.push_back(value(c.in.back()));
    }
    try {
      check_call(c, in);
    } catch (const Error& e) {
      require_here(false, "{}", e.message());
    }
    c.spec = c.op->infer(c.params, in);
    values_.push_back(new_placeholder(c.spec));
    return c;
  }
  Params params_of(const Op& op, const std::string& print) {
    auto parsed = op.params ? op.params->parse(print) : std::optional<Params>();
    if (!op.params && print.empty()) parsed.emplace();
    require_here(parsed.has_value(), "{} has no parameters \"{}\".", op.name, printable(print));
    return *parsed;
  }
  const array& value(int i) const {
    return i >= 0 ? values_[static_cast<size_t>(i)] : constants_[static_cast<size_t>(~i)];
  }

  std::shared_ptr<const io::FileBytes> file_;
  std::string name_;
  ByteReader reader_;
  uint64_t base_ = 0, data_begin_ = 0;
  Arrays constants_{}, values_{};
};

}  // namespace

FunctionFile read_function(const std::shared_ptr<const io::FileBytes>& file) {
  return In(file).read();
}

void check_calls(const Recording& r) {
  Arrays values;
  for (const auto& s : r.arguments) values.push_back(new_placeholder(s));
  for (const auto& c : r.calls) {
    Arrays in;
    for (int i : c.in)
      in.push_back(i >= 0 ? values[static_cast<size_t>(i)] : r.constants[static_cast<size_t>(~i)]);
    check_call(c, in);
    values.push_back(new_placeholder(c.spec));
  }
}

}  // namespace tarn
