// A verb's options: each described once, beside the variable that holds its default.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tarn::cli {

// What was typed is not a command of this program. main prints it and ends with `status`.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
  static constexpr int status = 2;
};

struct Bounds {
  double least = 0;
  double most = std::numeric_limits<double>::max();
};

class Arguments {
 public:
  // `name` as it is typed: "tarn chat".
  Arguments(std::string name, const std::string& summary);
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  // `names` as in "-n,--max-tokens". A name without dashes takes what stands by itself.
  void flag(const std::string& names, bool& value, const std::string& doc);
  void text(const std::string& names, std::string& value, const std::string& doc);
  // May be given several times.
  void texts(const std::string& names, std::vector<std::string>& values, const std::string& doc);
  void choice(const std::string& names, std::string& value, const std::vector<std::string>& choices,
              const std::string& doc);
  void number(const std::string& names, int& value, const std::string& doc, Bounds bounds);
  void number(const std::string& names, float& value, const std::string& doc, Bounds bounds);
  void number(const std::string& names, std::optional<uint64_t>& value, const std::string& doc);
  // Text below the options in help().
  void footer(const std::string& text);

  // Fills in the variables. False: --help was asked for. Throws UsageError.
  bool parse(std::vector<std::string> arguments);
  bool was_given(const std::string& name) const;
  std::string help() const;
  // {"temp", its value when it was added} for all options, without dashes.
  std::vector<std::pair<std::string, std::string>> defaults() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A word as a shell takes it: between quotes where it needs them.
std::string shell_word(const std::string& word);

// The name in `known` that was probably meant by `typed`; empty when none is near.
std::string nearest_name(const std::string& typed, const std::vector<std::string>& known);

}  // namespace tarn::cli
