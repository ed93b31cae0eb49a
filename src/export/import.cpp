// Functions from files.
#include <algorithm>

#include "base/printable.h"
#include "base/require.h"
#include "export/function_file.h"
#include "export/sizes.h"
#include "ops/kinds.h"
#include "tarn/export.h"

namespace tarn {

struct ImportedFunction::Loaded {
  std::string name{};
  FunctionFile content{};
};

namespace {

struct Given {
  std::vector<std::string> keywords{};
  size_t positional = 0;
  Arrays values{};
};

std::string argument_text(const std::string& keyword, const ArraySpec& s,
                          const std::vector<int>* classes) {
  std::string text = keyword.empty() ? "" : printable(keyword) + "=";
  text += fmt::format("{} (", name_of(s.dtype));
  for (size_t k = 0; k < s.shape.size(); ++k) {
    bool free = classes && (*classes)[k] != Trace::fixed;
    text += (k ? ", " : "") +
            (free ? fmt::format("n{}", (*classes)[k]) : fmt::format("{}", s.shape[k]));
  }
  return text + (s.shape.size() == 1 ? ",)" : ")");
}
std::string arguments_text(size_t positional, const std::vector<std::string>& keywords,
                           const std::vector<ArraySpec>& specs, const Trace* trace) {
  std::string text;
  for (size_t i = 0; i < specs.size(); ++i)
    text += (i ? ", " : "") + argument_text(i < positional ? "" : keywords[i - positional],
                                            specs[i], trace ? &trace->classes[i] : nullptr);
  return "[" + text + "]";
}

// The results by this recording, resized when it must be; nothing when it is one for others.
std::optional<Arrays> run(const Trace& t, const Given& given, const std::vector<ArraySpec>& specs) {
  if (t.positional != given.positional || t.keywords != given.keywords) return std::nullopt;
  if (!fits(t.recording.arguments, t.classes, specs)) return std::nullopt;
  if (specs == t.recording.arguments) return t.recording.run(given.values);
  auto r = resized(t.recording, specs);
  if (!r) return std::nullopt;
  check_calls(*r);
  return r->run(given.values);
}

[[noreturn]] void refuse(const ImportedFunction::Loaded& loaded, const Given& given,
                         const std::vector<ArraySpec>& specs) {
  std::string there;
  for (const auto& t : loaded.content.traces)
    there += (there.empty() ? "" : ", ") +
             arguments_text(t.positional, t.keywords, t.recording.arguments, &t);
  fail("[import_function] {}: no recording takes {}; it holds {}.", loaded.name,
       arguments_text(given.positional, given.keywords, specs, nullptr), there);
}

}  // namespace

std::vector<array> ImportedFunction::operator()(const Args& args) const {
  return (*this)(args, Kwargs());
}
std::vector<array> ImportedFunction::operator()(const Kwargs& kwargs) const {
  return (*this)(Args(), kwargs);
}
std::vector<array> ImportedFunction::operator()(const Args& args, const Kwargs& kwargs) const {
  Given given;
  given.positional = args.size();
  given.values = args;
  for (const auto& [name, value] : kwargs) given.keywords.push_back(name);
  std::sort(given.keywords.begin(), given.keywords.end());
  for (const auto& name : given.keywords) given.values.push_back(kwargs.at(name));
  auto specs = specs_of(given.values);
  for (const auto& t : loaded_->content.traces)
    if (auto results = run(t, given, specs)) return *results;
  refuse(*loaded_, given, specs);
}
const std::string& ImportedFunction::metadata() const { return loaded_->content.metadata; }

ImportedFunction import_function(const std::string& file) {
  auto loaded = std::make_shared<ImportedFunction::Loaded>();
  loaded->name = printable(file, 4096);
  loaded->content = read_function(io::FileBytes::open(file));
  return ImportedFunction(std::move(loaded));
}

}  // namespace tarn
