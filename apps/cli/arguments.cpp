#include "arguments.h"
#include "base/text.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iterator>
#include <numeric>

namespace tarn::cli {
namespace {

// CLI11 would take "[a,b]" for two values and "--name=" for a name whose value comes next.
std::vector<std::string> without_empty_values(std::vector<std::string> arguments) {
  std::vector<std::string> out;
  bool only_positional = false;
  for (std::string& a : arguments) {
    only_positional = only_positional || a == "--";
    bool is_empty_value =
        !only_positional && a.size() > 3 && a.starts_with("--") && a.find('=') == a.size() - 1;
    if (is_empty_value) a.pop_back();
    out.push_back(std::move(a));
    if (is_empty_value) out.emplace_back();
  }
  return out;
}

// CLI11's own would say "Value abc not in range 0.000000 to 100.000000", and take -1 for 2^64 - 1.
template <class T>
CLI::Validator number_in(T least, T most) {
  auto check = [least, most](const std::string& text) -> std::string {
    T value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end != text.data() + text.size() || error == std::errc::invalid_argument) {
      return fmt::format("`{}` is not a {}number", text, std::is_integral_v<T> ? "whole " : "");
    }
    if (error == std::errc() && value >= least && value <= most) return "";
    return fmt::format("{} is not between {} and {}", text, least, most);
  };
  return CLI::Validator(check, "", "number");
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

struct Arguments::Impl {
  CLI::App app;
  std::vector<std::string>* rest = nullptr;  // the list that stands by itself, if there is one

  Impl(std::string name, const std::string& summary) : app(summary, std::move(name)) {
    app.set_help_flag("-h,--help", "print this and end");
    app.get_formatter()->column_width(34);
    app.get_formatter()->label("REQUIRED", "");
  }

  [[noreturn]] void refuse(const std::string& typed) const {
    std::vector<std::string> known;
    for (const CLI::Option* o : app.get_options())
      for (const std::string& l : o->get_lnames()) known.push_back("--" + l);
    std::string name = typed.substr(0, typed.find('='));
    std::string near = nearest_name(name, known);
    std::string advice = near.empty() ? " `" + app.get_name() + " --help` lists them."
                                      : " Did you mean " + near + "?";
    throw UsageError("`" + name + "` is not an option here." + advice);
  }
};

Arguments::Arguments(std::string name, const std::string& summary)
    : impl_(std::make_unique<Impl>(std::move(name), summary)) {}
Arguments::~Arguments() = default;

void Arguments::flag(const std::string& names, bool& value, const std::string& doc) {
  impl_->app.add_flag(names, value, doc);
}

void Arguments::text(const std::string& names, std::string& value, const std::string& doc) {
  CLI::Option* option = impl_->app.add_option(names, value, doc)->type_name("TEXT");
  if (!value.empty()) option->capture_default_str();
}

void Arguments::texts(const std::string& names, std::vector<std::string>& values,
                      const std::string& doc) {
  CLI::Option* option = impl_->app.add_option(names, values, doc)->type_name("TEXT");
  option->allow_extra_args(false);  // which would also split "[a,b]"
  if (names.starts_with('-')) return;
  // Now it takes the first text only; parse() adds the others.
  impl_->rest = &values;
  impl_->app.allow_extras();
}

void Arguments::choice(const std::string& names, std::string& value,
                       const std::vector<std::string>& choices, const std::string& doc) {
  CLI::IsMember member(choices);
  member.description("");
  impl_->app.add_option(names, value, doc)->capture_default_str()->type_name("")->check(member);
}

void Arguments::number(const std::string& names, int& value, const std::string& doc,
                       Bounds bounds) {
  double most = std::min<double>(bounds.most, std::numeric_limits<int>::max());
  impl_->app.add_option(names, value, doc)
      ->capture_default_str()
      ->type_name("N")
      ->check(number_in<int64_t>(static_cast<int64_t>(bounds.least), static_cast<int64_t>(most)));
}

void Arguments::number(const std::string& names, float& value, const std::string& doc,
                       Bounds bounds) {
  impl_->app.add_option(names, value, doc)
      ->capture_default_str()
      ->type_name("X")
      ->check(number_in<double>(bounds.least, bounds.most));
}

void Arguments::number(const std::string& names, std::optional<uint64_t>& value,
                       const std::string& doc) {
  auto set = [&value](uint64_t number) { value = number; };
  CLI::Option* option = impl_->app.add_option_function<uint64_t>(names, set, doc)->type_name("N");
  option->check(number_in<uint64_t>(0, std::numeric_limits<uint64_t>::max()));
  if (value) option->default_str(std::to_string(*value));
}

void Arguments::footer(const std::string& text) { impl_->app.footer(text); }

bool Arguments::parse(std::vector<std::string> arguments) {
  auto end = std::find(arguments.begin(), arguments.end(), "--");
  std::vector<std::string> tail;
  if (impl_->rest && end != arguments.end()) {
    tail.assign(end + 1, arguments.end());
    arguments.erase(end, arguments.end());
  }
  arguments = without_empty_values(std::move(arguments));
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants it
  try {
    impl_->app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return false;
  } catch (const CLI::ExtrasError&) {
    impl_->refuse(impl_->app.remaining().front());
  } catch (const CLI::ParseError& e) {
    throw UsageError(one_line(e.what()) + ".");
  }
  for (const std::string& text : impl_->app.remaining()) {
    if (text.size() > 1 && text[0] == '-') impl_->refuse(text);
    impl_->rest->push_back(text);
  }
  if (impl_->rest) impl_->rest->insert(impl_->rest->end(), tail.begin(), tail.end());
  return true;
}

bool Arguments::was_given(const std::string& name) const { return impl_->app.count(name) > 0; }

std::string Arguments::help() const { return impl_->app.help(); }

std::vector<std::pair<std::string, std::string>> Arguments::defaults() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const CLI::Option* o : impl_->app.get_options())
    if (!o->get_lnames().empty() && o != impl_->app.get_help_ptr())
      all.emplace_back(o->get_lnames().front(), o->get_default_str());
  return all;
}

namespace {

// How many letters to insert, drop or change to make b of a.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      size_t change = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string shell_word(const std::string& word) {
  constexpr const char* plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string nearest_name(const std::string& typed, const std::vector<std::string>& known) {
  if (typed.size() > 64) return "";
  std::string best;
  size_t best_distance = typed.size() / 3 + 2;
  for (const std::string& name : known) {
    size_t distance = edit_distance(typed, name);
    bool is_start = typed.size() >= 2 && name.starts_with(typed);
    if (is_start) distance = 1;
    if (distance < best_distance && distance < name.size()) best = name, best_distance = distance;
  }
  return best;
}

}  // namespace tarn::cli
