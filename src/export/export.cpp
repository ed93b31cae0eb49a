// Exporters: functions are recorded call by call, then written or told to a callback.
#include "tarn/export.h"

#include <algorithm>
#include <exception>
#include <map>

#include "base/require.h"
#include "export/function_file.h"
#include "export/sizes.h"
#include "tarn/graph.h"
#include "tarn/version.h"

namespace tarn {

struct FunctionExporter::State {
  std::string file{};
  ExportCallback callback{};
  ArgsKwargsFunction fun{};
  bool shapeless = false;
  FunctionFile content{};
  bool closed = false;
};

namespace {

std::unique_ptr<FunctionExporter::State> state_of(std::string file, ExportCallback callback,
                                                  ArgsKwargsFunction fun, bool shapeless,
                                                  std::string metadata) {
  auto s = std::make_unique<FunctionExporter::State>();
  s->file = std::move(file);
  s->callback = std::move(callback);
  s->fun = std::move(fun);
  s->shapeless = shapeless;
  s->content.library = version();
  s->content.metadata = std::move(metadata);
  return s;
}
ArgsKwargsFunction with_both(const ArgsFunction& fun) {
  return [fun](const Args& args, const Kwargs& kwargs) {
    require(kwargs.empty(), "[export_function] the function takes no keyword arguments.");
    return fun(args);
  };
}
ArgsKwargsFunction with_both(const KwargsFunction& fun) {
  return [fun](const Args& args, const Kwargs& kwargs) {
    require(args.empty(), "[export_function] the function takes keyword arguments only.");
    return fun(kwargs);
  };
}

bool same_arguments(const Trace& a, const Trace& b) {
  if (a.positional != b.positional || a.keywords != b.keywords) return false;
  const auto &x = a.recording.arguments, &y = b.recording.arguments;
  if (!a.shapeless) return x == y;
  return std::ranges::equal(x, y, [](const ArraySpec& p, const ArraySpec& q) {
    return p.dtype == q.dtype && p.shape.size() == q.shape.size();
  });
}

// Tells a recording to the callback, arrays by name.
class Teller {
 public:
  Teller(const ExportCallback& callback, const Trace& t) : callback_(callback), trace_(t) {
    for (const auto& s : recording().arguments) values_.push_back(new_placeholder(s));
    for (const auto& c : recording().calls) values_.push_back(new_placeholder(c.spec));
  }

  void tell() {
    const Recording& r = recording();
    std::vector<int> arguments(r.arguments.size());
    for (size_t i = 0; i < arguments.size(); ++i) arguments[i] = static_cast<int>(i);
    ExportCallbackInput inputs, keywords, outputs, constants;
    inputs.type = "inputs";
    inputs.inputs = described(arguments);
    keywords.type = "keyword_inputs";
    for (size_t i = 0; i < trace_.keywords.size(); ++i)
      keywords.keywords.push_back({trace_.keywords[i], inputs.inputs[trace_.positional + i].name});
    outputs.type = "outputs";
    outputs.outputs = described(r.outputs);
    constants.type = "constants";
    for (const auto& c : r.constants) constants.constants.push_back({namer_.get_name(c), c});
    for (const auto* told : {&inputs, &keywords, &outputs, &constants}) callback_(*told);
    for (size_t i = 0; i < r.calls.size(); ++i) {
      ExportCallbackInput primitive;
      primitive.type = "primitive";
      primitive.name = r.calls[i].op->name;
      primitive.arguments = r.calls[i].params.print();
      primitive.inputs = described(r.calls[i].in);
      primitive.outputs = described({static_cast<int>(r.arguments.size() + i)});
      callback_(primitive);
    }
  }

 private:
  const Recording& recording() const { return trace_.recording; }
  std::vector<ExportCallbackInput::Described> described(const std::vector<int>& values) {
    std::vector<ExportCallbackInput::Described> out;
    for (int i : values) {
      const array& a =
          i >= 0 ? values_[static_cast<size_t>(i)] : recording().constants[static_cast<size_t>(~i)];
      out.push_back({namer_.get_name(a), a.shape(), a.dtype()});
    }
    return out;
  }

  const ExportCallback& callback_;
  const Trace& trace_;
  NodeNamer namer_{};
  Arrays values_{};
};

}  // namespace

FunctionExporter::FunctionExporter(std::unique_ptr<State> state) : state_(std::move(state)) {}
FunctionExporter::FunctionExporter(FunctionExporter&&) noexcept = default;
FunctionExporter::~FunctionExporter() {
  if (!state_ || state_->closed || state_->content.traces.empty()) return;
  if (std::uncaught_exceptions() > 0) return;
  try {
    close();
  } catch (const std::exception&) {  // documented: close() would have thrown it
  }
}

void FunctionExporter::operator()(const Args& args) { (*this)(args, Kwargs()); }
void FunctionExporter::operator()(const Kwargs& kwargs) { (*this)(Args(), kwargs); }
void FunctionExporter::operator()(const Args& args, const Kwargs& kwargs) {
  require(!state_->closed, "[export_function] the exporter is closed.");
  Trace t;
  t.positional = args.size();
  t.shapeless = state_->shapeless;
  std::vector<ArraySpec> specs = specs_of(args);
  for (const auto& [name, value] : std::map(kwargs.begin(), kwargs.end())) {
    t.keywords.push_back(name);
    specs.push_back({value.shape(), value.dtype()});
  }
  ArraysFunction flat = [&](const Arrays& in) {
    auto first = in.begin() + static_cast<std::ptrdiff_t>(t.positional);
    Kwargs named;
    for (size_t i = 0; i < t.keywords.size(); ++i)
      named.emplace(t.keywords[i], in[t.positional + i]);
    return state_->fun(Args(in.begin(), first), named);
  };
  t.recording = portable(record_function(flat, specs, t.shapeless));
  for (const auto& other : state_->content.traces)
    require(!same_arguments(other, t),
            "[export_function] the function was exported for such arguments before.");
  if (t.shapeless) t.classes = free_sizes(flat, t.recording);
  eval(t.recording.constants);
  if (state_->callback) Teller(state_->callback, t).tell();
  state_->content.traces.push_back(std::move(t));
}

void FunctionExporter::close() {
  if (state_->closed) return;
  require(!state_->content.traces.empty(),
          "[export_function] nothing was recorded: call the exporter with arguments first.");
  if (!state_->callback) {
    io::AtomicFile out(state_->file);
    write_function(out, state_->content);
    out.commit();
  }
  state_->closed = true;
}

FunctionExporter exporter(const std::string& file, const ArgsFunction& fun, bool shapeless,
                          const std::string& metadata) {
  return FunctionExporter(state_of(file, nullptr, with_both(fun), shapeless, metadata));
}
FunctionExporter exporter(const std::string& file, const KwargsFunction& fun, bool shapeless,
                          const std::string& metadata) {
  return FunctionExporter(state_of(file, nullptr, with_both(fun), shapeless, metadata));
}
FunctionExporter exporter(const std::string& path, const ArgsKwargsFunction& fun, bool shapeless,
                          const std::string& metadata) {
  return FunctionExporter(state_of(path, nullptr, fun, shapeless, metadata));
}
FunctionExporter exporter(const ExportCallback& callback, const ArgsFunction& fun, bool shapeless) {
  return FunctionExporter(state_of("", callback, with_both(fun), shapeless, ""));
}
FunctionExporter exporter(const ExportCallback& callback, const KwargsFunction& fun,
                          bool shapeless) {
  return FunctionExporter(state_of("", callback, with_both(fun), shapeless, ""));
}
FunctionExporter exporter(const ExportCallback& callback, const ArgsKwargsFunction& fun,
                          bool shapeless) {
  return FunctionExporter(state_of("", callback, fun, shapeless, ""));
}

namespace {
template <class... A>
void export_once(FunctionExporter to, const A&... arguments) {
  to(arguments...);
  to.close();
}
}  // namespace

void export_function(const std::string& file, const ArgsFunction& fun, const Args& args,
                     bool shapeless, const std::string& metadata) {
  export_once(exporter(file, fun, shapeless, metadata), args);
}
void export_function(const std::string& file, const KwargsFunction& fun, const Kwargs& kwargs,
                     bool shapeless, const std::string& metadata) {
  export_once(exporter(file, fun, shapeless, metadata), kwargs);
}
void export_function(const std::string& file, const ArgsKwargsFunction& fun, const Args& args,
                     const Kwargs& kwargs, bool shapeless, const std::string& metadata) {
  export_once(exporter(file, fun, shapeless, metadata), args, kwargs);
}
void export_function(const ExportCallback& callback, const ArgsFunction& fun, const Args& args,
                     bool shapeless) {
  export_once(exporter(callback, fun, shapeless), args);
}
void export_function(const ExportCallback& callback, const KwargsFunction& fun,
                     const Kwargs& kwargs, bool shapeless) {
  export_once(exporter(callback, fun, shapeless), kwargs);
}
void export_function(const ExportCallback& callback, const ArgsKwargsFunction& fun,
                     const Args& args, const Kwargs& kwargs, bool shapeless) {
  export_once(exporter(callback, fun, shapeless), args, kwargs);
}

}  // namespace tarn
