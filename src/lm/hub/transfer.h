// One request and its answer on libcurl's handles, without redirects.
#pragma once

#include <curl/curl.h>

#include <exception>

#include "lm/hub/http.h"

namespace tarn::lm::hub {

struct HttpClient::Handles {
  CURLM* multi = curl_multi_init();  // keeps the connections, and can be woken by another thread
  CURL* easy = curl_easy_init();
  ~Handles() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
};

class Transfer {
 public:
  Transfer(HttpClient::Handles& handles, const HubOptions& options, const HttpRequest& request,
           const HttpSink& sink, HttpResponse& response);
  ~Transfer() { curl_slist_free_all(headers_); }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Throws what HttpClient::get does. A redirect is no error and does not reach the sink.
  void run(const std::stop_token& stop);

 private:
  void set_options();
  void set_headers();
  void read_header(std::string_view line);
  void read_body(std::string_view bytes);
  void begin();
  CURLcode wait(const std::stop_token& stop);
  [[noreturn]] void fail(CURLcode code) const;
  template <class Work>
  size_t guarded(size_t n, const Work& work);

  HttpClient::Handles& handles_;
  const HubOptions& options_;
  const HttpRequest& request_;
  const HttpSink& sink_;
  HttpResponse& response_;
  curl_slist* headers_ = nullptr;
  size_t head_bytes_ = 0;
  uint64_t body_bytes_ = 0;
  bool is_begun_ = false;
  std::exception_ptr error_{};
};

bool is_redirect(long status);

}  // namespace tarn::lm::hub
