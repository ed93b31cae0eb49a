// Functions as files: recorded once, they run without the program that wrote them.
//
// A file holds one recording for each call of an exporter, and the arrays that the function
// captured, once. Only operations of the catalogue can be written; custom_op's cannot. The file is
// written beside the target and renamed; a damaged one is a FileError that names file and byte.
// docs/function-files.md has the format.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

using Args = std::vector<array>;
using Kwargs = std::unordered_map<std::string, array>;

// What an export callback is told, in this order: inputs, keyword_inputs, outputs, constants, then
// each operation as a primitive. Arrays go by names.
struct ExportCallbackInput {
  struct Described {
    std::string name{};
    Shape shape{};
    Dtype dtype{};
  };
  std::string type{};                                           // one of the words above
  std::vector<Described> inputs{};                              // inputs, primitive
  std::vector<std::pair<std::string, std::string>> keywords{};  // keyword and array
  std::vector<Described> outputs{};                             // outputs, primitive
  std::vector<std::pair<std::string, array>> constants{};
  std::string name{};       // of the operation
  std::string arguments{};  // its parameters, as print_graph shows them
};
using ExportCallback = std::function<void(const ExportCallbackInput&)>;

using ArgsFunction = std::function<std::vector<array>(const Args&)>;
using KwargsFunction = std::function<std::vector<array>(const Kwargs&)>;
using ArgsKwargsFunction = std::function<std::vector<array>(const Args&, const Kwargs&)>;

// Each call records the function for arguments like these; their values do not matter. With
// `shapeless` a recording takes other sizes as well, where the function was seen to follow from
// them: it is called a few times, with sizes of the exporter's choice. 0 and 1 stay what they are.
// Throws ValueError for operations that cannot be written and for a second call with such
// arguments.
class FunctionExporter {
 public:
  struct State;  // private to the library
  explicit FunctionExporter(std::unique_ptr<State> state);
  FunctionExporter(FunctionExporter&&) noexcept;
  FunctionExporter& operator=(FunctionExporter&&) = delete;
  // Closes, unless an exception is under way; an error is lost, so call close() to see it.
  ~FunctionExporter();

  void operator()(std::initializer_list<array> args) { (*this)(Args(args)); }
  void operator()(const Args& args);
  void operator()(const Kwargs& kwargs);
  void operator()(const Args& args, const Kwargs& kwargs);
  // Writes the file. Throws ValueError when nothing was recorded.
  void close();

 private:
  std::unique_ptr<State> state_;
};

FunctionExporter exporter(const std::string& file, const ArgsFunction& fun, bool shapeless = false,
                          const std::string& metadata = "");
FunctionExporter exporter(const std::string& file, const KwargsFunction& fun,
                          bool shapeless = false, const std::string& metadata = "");
FunctionExporter exporter(const std::string& path, const ArgsKwargsFunction& fun,
                          bool shapeless = false, const std::string& metadata = "");
void export_function(const std::string& file, const ArgsFunction& fun, const Args& args,
                     bool shapeless = false, const std::string& metadata = "");
void export_function(const std::string& file, const KwargsFunction& fun, const Kwargs& kwargs,
                     bool shapeless = false, const std::string& metadata = "");
void export_function(const std::string& file, const ArgsKwargsFunction& fun, const Args& args,
                     const Kwargs& kwargs, bool shapeless = false,
                     const std::string& metadata = "");

// The same, told to a callback instead of written.
FunctionExporter exporter(const ExportCallback& callback, const ArgsFunction& fun,
                          bool shapeless = false);
FunctionExporter exporter(const ExportCallback& callback, const KwargsFunction& fun,
                          bool shapeless = false);
FunctionExporter exporter(const ExportCallback& callback, const ArgsKwargsFunction& fun,
                          bool shapeless = false);
void export_function(const ExportCallback& callback, const ArgsFunction& fun, const Args& args,
                     bool shapeless = false);
void export_function(const ExportCallback& callback, const KwargsFunction& fun,
                     const Kwargs& kwargs, bool shapeless = false);
void export_function(const ExportCallback& callback, const ArgsKwargsFunction& fun,
                     const Args& args, const Kwargs& kwargs, bool shapeless = false);

// A function from a file. Copies share what was read; any thread may call it.
class ImportedFunction {
 public:
  struct Loaded;  // private to the library
  explicit ImportedFunction(std::shared_ptr<const Loaded> loaded) : loaded_(std::move(loaded)) {}

  std::vector<array> operator()(std::initializer_list<array> args) const {
    return (*this)(Args(args));
  }
  // Throws ValueError when no recording takes such arguments; it lists what there is.
  std::vector<array> operator()(const Args& args) const;
  std::vector<array> operator()(const Kwargs& kwargs) const;
  std::vector<array> operator()(const Args& args, const Kwargs& kwargs) const;
  const std::string& metadata() const;

 private:
  std::shared_ptr<const Loaded> loaded_;
};

// Maps the file: captured arrays lie in it. Throws FileError.
ImportedFunction import_function(const std::string& file);

}  // namespace tarn
