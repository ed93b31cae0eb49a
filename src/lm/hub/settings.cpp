#include "lm/hub/settings.h"

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "lm/hub/names.h"

namespace tarn::lm::hub {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_true(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text == "1" || text == "on" || text == "yes" || text == "true";
}

// "~/x" as a shell would read it.
fs::path expanded(const std::string& path) {
  std::string home = environment("HOME");
  if (path != "~" && !path.starts_with("~/")) return path;
  return home.empty() ? fs::path(path)
                      : fs::path(home) / fs::path(path.substr(path.size() > 1 ? 2 : 1));
}

fs::path hub_home() {
  if (std::string home = environment("HF_HOME"); !home.empty()) return expanded(home);
  if (std::string cache = environment("XDG_CACHE_HOME"); !cache.empty())
    return expanded(cache) / "huggingface";
  std::string home = environment("HOME");
  if (home.empty())
    refuse(
        HubReason::disk,
        "[hub] none of HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME and HOME is set: there is no folder "
        "to keep models in. Set one of them.");
  return fs::path(home) / ".cache/huggingface";
}

fs::path cache_of_environment() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (std::string cache = environment(name); !cache.empty()) return expanded(cache);
  return hub_home() / "hub";
}

std::string without_whitespace(std::string text) {
  auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  return text;
}

std::string token_of_environment() {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (std::string token = environment(name); !token.empty()) return token;
  fs::path file;
  if (std::string path = environment("HF_TOKEN_PATH"); !path.empty()) {
    file = expanded(path);
  } else {
    file = hub_home() / "token";
  }
  constexpr uint64_t longest_token = 16 << 10;
  std::error_code error;
  return fs::is_regular_file(file, error) ? read_text(file.string(), longest_token) : "";
}

std::string checked_token(const std::string& given) {
  std::string token = without_whitespace(given);
  bool is_plain = std::all_of(token.begin(), token.end(), [](char c) { return c > 32 && c < 127; });
  if (!is_plain)
    refuse(HubReason::not_allowed,
           "[hub] the token holds a space or a character that is not ASCII. Copy it again into "
           "HF_TOKEN, or into the file that `HF_TOKEN_PATH` names.");
  return token;
}

std::string checked_endpoint(std::string endpoint) {
  while (endpoint.ends_with('/')) endpoint.pop_back();
  bool has_scheme = endpoint.starts_with("https://") || endpoint.starts_with("http://");
  std::string_view rest =
      std::string_view(endpoint).substr(has_scheme ? endpoint.find("//") + 2 : 0);
  bool is_plain = std::all_of(rest.begin(), rest.end(), [](char c) {
    return c > 32 && c < 127 && std::string_view("?#@\\\"").find(c) == std::string_view::npos;
  });
  if (!has_scheme || rest.empty() || !is_plain)
    refuse(HubReason::bad_name,
           "[hub] the endpoint \"{}\" is not an address. Needed is https://HOST or http://HOST, "
           "without a user, a password or a query.",
           printable(endpoint));
  return endpoint;
}

template <class T>
void check_range(const char* name, T value, T least, T most) {
  if (value < least || value > most)
    refuse(HubReason::bad_name, "[hub] {} is {}; it must be between {} and {}.", name, value, least,
           most);
}

}  // namespace

HubOptions resolved(HubOptions o) {
  if (o.endpoint.empty()) o.endpoint = environment("HF_ENDPOINT");
  o.endpoint = checked_endpoint(o.endpoint.empty() ? "https://huggingface.co" : o.endpoint);
  if (o.cache.empty()) o.cache = cache_of_environment();
  o.cache = fs::absolute(o.cache).lexically_normal();
  o.token = checked_token(o.token ? *o.token : token_of_environment());
  if (!o.offline) o.offline = is_true(environment("HF_HUB_OFFLINE"));
  check_range("parallelism", o.parallelism, 1, 16);
  check_range("retries", o.retries, 0, 100);
  check_range<int64_t>("connect_timeout in ms", o.connect_timeout.count(), 1, 3'600'000);
  check_range<int64_t>("stall_timeout in ms", o.stall_timeout.count(), 1, 3'600'000);
  check_range<int64_t>("retry_delay in ms", o.retry_delay.count(), 0, 3'600'000);
  return o;
}

}  // namespace tarn::lm::hub
