// A value inside a JSON file that knows the file and its own place there, for errors.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/printable.h"
#include "base/require.h"

namespace tarn::lm::tokenizer {

// A parsed document; the values in it live as long as it does.
class JsonDocument {
 public:
  static constexpr size_t kDeepest = 128;
  JsonDocument(std::string_view text, const std::string& file);
  simdjson::dom::element root() const { return root_; }

 private:
  simdjson::dom::parser parser_{};
  simdjson::dom::element root_{};
};

class Json {
 public:
  Json(simdjson::dom::element value, const std::string& file, std::string path = {})
      : value_(value), file_(&file), path_(std::move(path)) {}

  // A member, unless it is absent or null.
  std::optional<Json> find(std::string_view key) const;
  Json at(std::string_view key) const;
  std::vector<Json> items() const;

  std::string_view text() const { return get<std::string_view>("a string"); }
  bool flag() const { return get<bool>("true or false"); }
  int64_t integer() const { return get<int64_t>("an integer"); }
  double number() const { return get<double>("a number"); }
  simdjson::dom::array array() const { return get<simdjson::dom::array>("an array"); }
  simdjson::dom::object object() const { return get<simdjson::dom::object>("an object"); }
  bool is_text() const { return value_.is_string(); }
  bool is_array() const { return value_.is_array(); }

  // A member, or `otherwise` if it is absent or null.
  std::string text_or(std::string_view key, std::string_view otherwise) const;
  bool flag_or(std::string_view key, bool otherwise) const;

  const std::string& file() const { return *file_; }
  // File and place: "tokenizer.json: pre_tokenizer.pretokenizers[0]".
  std::string where() const { return path_.empty() ? *file_ : *file_ + ": " + path_; }
  // Ends with an error that says that a value is none that Tarn knows.
  [[noreturn]] void unsupported(std::string_view what, std::string_view value) const {
    fail<FileError>("[load] {}: {} `{}` is not supported.", where(), what, printable(value));
  }

 private:
  template <class T>
  T get(std::string_view needed) const {
    T out{};
    require<FileError>(value_.get(out) == simdjson::SUCCESS, "[load] {}: {} is needed here.",
                       where(), needed);
    return out;
  }

  simdjson::dom::element value_;
  const std::string* file_;
  std::string path_;
};

}  // namespace tarn::lm::tokenizer
