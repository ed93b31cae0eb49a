// One request after another over libcurl, with the rules that a hub needs: redirects are bounded,
// never fall back from https to http, and lose the token where they leave the hub's own host.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "tarn/lm/hub.h"

namespace tarn::lm::hub {

struct HttpRequest {
  std::string url{};
  uint64_t offset = 0;     // above 0: only the bytes from here on
  std::string if_range{};  // an ETag: the whole content instead when it has changed
  bool only_head = false;  // no content
};

struct HttpResponse {
  long status = 0;
  std::string url{};                             // after redirects
  std::map<std::string, std::string> headers{};  // by lower-case name; x-* of redirects as well
  // Empty when there is none.
  const std::string& header(const std::string& name) const;
};

// How an attempt ended, for the one who may try again.
struct Failure {
  HubReason reason = HubReason::network;
  std::string text{};       // "the connection was cut after 12 bytes"
  bool may_pass = true;     // another attempt may succeed
  std::string advice{};     // a sentence, or nothing
  double retry_after = -1;  // seconds that the server asks to wait
};

// Both may throw; the request then ends with what they threw. `head` comes once, before any byte.
struct HttpSink {
  std::function<void(const HttpResponse&)> head{};
  std::function<void(std::string_view)> body{};
};

// Keeps its connections between requests. For one thread at a time; `options` must outlive it.
class HttpClient {
 public:
  struct Handles;
  HttpClient(const HubOptions& options, std::stop_token stop);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  const std::stop_token& stop() const { return stop_; }
  // Throws Failure when there is no answer, Cancelled after a stop. An answer of any status but a
  // redirect goes to the sink.
  void get(const HttpRequest& request, const HttpSink& sink);

 private:
  const HubOptions& options_;
  std::stop_token stop_;
  std::unique_ptr<Handles> handles_;
};

}  // namespace tarn::lm::hub
