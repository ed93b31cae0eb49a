// Addresses, taken apart by libcurl.
#pragma once

#include <string>

namespace tarn::lm::hub {

struct Url {
  std::string text{};    // whole and absolute; empty for what is no address
  std::string scheme{};  // "https"
  std::string host{};    // "hub.example:8080", with the port where it is not the scheme's own
  bool has_user = false;
  std::string origin() const { return scheme + "://" + host; }
};

// `relative` may be relative to `base`, as that of a redirect.
Url parse_url(const std::string& base, const std::string& relative = "");

}  // namespace tarn::lm::hub
