#include "lm/hub/transfer.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "base/trim.h"
#include "lm/hub/names.h"
#include "lm/hub/url.h"
#include "tarn/version.h"

namespace tarn::lm::hub {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t longest_head = 256 << 10;           // all header lines of an answer
constexpr uint64_t longest_redirect_body = 1 << 20;  // nobody reads it
constexpr long receive_buffer = 256 << 10;           // fewer calls than with libcurl's 16 KiB
constexpr int poll_ms = 100;                         // how often stalls are looked for

std::string seconds_text(milliseconds time) {
  std::string text = fmt::format("{}", static_cast<double>(time.count()) / 1000);
  return (text.ends_with(".0") ? text.substr(0, text.size() - 2) : text) + " s";
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

// Whether a transfer brought less than 1 KiB/s for a whole stall_timeout.
class StallWatch {
 public:
  explicit StallWatch(milliseconds limit) : limit_(limit) {}
  bool is_stalled(uint64_t bytes) {
    auto now = Clock::now();
    if (now - since_ < limit_) return false;
    auto needed = 1024 * static_cast<uint64_t>(limit_.count()) / 1000;
    since_ = now;
    return bytes - std::exchange(before_, bytes) < needed;
  }

 private:
  milliseconds limit_;
  Clock::time_point since_ = Clock::now();
  uint64_t before_ = 0;
};

// Writing to a connection that the other side has closed must not end the process.
class WithoutBrokenPipes {
 public:
  WithoutBrokenPipes() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    was_pending_ = is_pending();
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutBrokenPipes() {
    timespec none{};
    if (!was_pending_ && is_pending()) sigtimedwait(&pipe_, nullptr, &none);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutBrokenPipes(const WithoutBrokenPipes&) = delete;
  WithoutBrokenPipes& operator=(const WithoutBrokenPipes&) = delete;

 private:
  static bool is_pending() {
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    return sigismember(&pending, SIGPIPE) == 1;
  }
  sigset_t pipe_{}, before_{};
  bool was_pending_ = false;
};

}  // namespace

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Transfer::Transfer(HttpClient::Handles& handles, const HubOptions& options,
                   const HttpRequest& request, const HttpSink& sink, HttpResponse& response)
    : handles_(handles), options_(options), request_(request), sink_(sink), response_(response) {
  curl_easy_reset(handles_.easy);
  set_headers();
  set_options();
}

void Transfer::set_headers() {
  auto add = [&](const std::string& line) {
    curl_slist* more = curl_slist_append(headers_, line.c_str());
    require<DeviceError>(more != nullptr, "[hub] there is no memory for a request.");
    headers_ = more;
  };
  bool is_own_host = parse_url(response_.url).origin() == parse_url(options_.endpoint).origin();
  if (is_own_host && !options_.token->empty()) add("Authorization: Bearer " + *options_.token);
  add("Accept-Encoding: identity");
  if (request_.offset == 0) return;
  add(fmt::format("Range: bytes={}-", request_.offset));
  if (!request_.if_range.empty()) add("If-Range: " + request_.if_range);
}

// libcurl's callbacks must not throw: what `work` throws is kept, and the transfer ends.
template <class Work>
size_t Transfer::guarded(size_t n, const Work& work) {
  try {
    work();
    return n;
  } catch (...) {
    error_ = std::current_exception();
    return n + 1;  // not n: an error to libcurl, also where n is 0
  }
}

void Transfer::set_options() {
  auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handles_.easy, option, value); };
  std::string agent = std::string("tarn/") + version();
  set(CURLOPT_URL, response_.url.c_str());
  set(CURLOPT_NOBODY, request_.only_head ? 1L : 0L);
  set(CURLOPT_USERAGENT, agent.c_str());
  set(CURLOPT_HTTPHEADER, headers_);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // ending does not wait for a name that is being looked up
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  set(CURLOPT_BUFFERSIZE, receive_buffer);
  // The certificates of a company's own proxy, by the variable that OpenSSL has for them.
  if (const char* file = std::getenv("SSL_CERT_FILE"); file && *file) set(CURLOPT_CAINFO, file);
  auto on_header = +[](char* at, size_t, size_t n, void* transfer) {
    auto& it = *static_cast<Transfer*>(transfer);
    return it.guarded(n, [&] { it.read_header({at, n}); });
  };
  auto on_body = +[](char* at, size_t, size_t n, void* transfer) {
    auto& it = *static_cast<Transfer*>(transfer);
    return it.guarded(n, [&] { it.read_body({at, n}); });
  };
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
}

void Transfer::read_header(std::string_view line) {
  head_bytes_ += line.size();
  if (head_bytes_ > longest_head)
    throw Failure{HubReason::server, "the answer has more than 256 KiB of headers"};
  if (line.starts_with("HTTP/")) {  // of this answer, or of an earlier one: a proxy's, a redirect's
    std::erase_if(response_.headers, [](const auto& h) { return !h.first.starts_with("x-"); });
    return;
  }
  if (size_t colon = line.find(':'); colon != line.npos)
    response_.headers[lower(std::string(line.substr(0, colon)))] = trimmed(line.substr(colon + 1));
}

void Transfer::begin() {
  if (std::exchange(is_begun_, true)) return;
  curl_easy_getinfo(handles_.easy, CURLINFO_RESPONSE_CODE, &response_.status);
  if (!is_redirect(response_.status)) sink_.head(response_);
}

void Transfer::read_body(std::string_view bytes) {
  begin();
  body_bytes_ += bytes.size();
  if (!is_redirect(response_.status)) return sink_.body(bytes);
  if (body_bytes_ > longest_redirect_body)
    throw Failure{HubReason::server, "a redirect comes with more than 1 MB of text"};
}

CURLcode Transfer::wait(const std::stop_token& stop) {
  StallWatch watch(options_.stall_timeout);
  for (int running = 1;;) {
    CURLMcode code = curl_multi_perform(handles_.multi, &running);
    if (error_) std::rethrow_exception(error_);
    require<Cancelled>(!stop.stop_requested(), "[hub] stopped on request.");
    require<DeviceError>(code == CURLM_OK, "[hub] libcurl: {}.", curl_multi_strerror(code));
    if (running == 0) break;
    if (watch.is_stalled(head_bytes_ + body_bytes_))
      throw Failure{HubReason::network,
                    fmt::format("{} sent less than 1 KiB/s for {}", parse_url(response_.url).host,
                                seconds_text(options_.stall_timeout))};
    curl_multi_poll(handles_.multi, nullptr, 0, poll_ms, nullptr);
  }
  int left = 0;
  CURLMsg* message = curl_multi_info_read(handles_.multi, &left);
  return message && message->msg == CURLMSG_DONE ? message->data.result : CURLE_RECV_ERROR;
}

void Transfer::run(const std::stop_token& stop) {
  WithoutBrokenPipes quiet;
  struct Added {  // the handle may go only when it is out of the multi handle
    HttpClient::Handles& h;
    explicit Added(HttpClient::Handles& handles) : h(handles) {
      require<DeviceError>(curl_multi_add_handle(h.multi, h.easy) == CURLM_OK,
                           "[hub] libcurl cannot begin a request.");
    }
    ~Added() { curl_multi_remove_handle(h.multi, h.easy); }
  } added(handles_);
  std::stop_callback wake(stop, [this] { curl_multi_wakeup(handles_.multi); });
  CURLcode code = wait(stop);
  if (code != CURLE_OK) fail(code);
  begin();
}

void Transfer::fail(CURLcode code) const {
  std::string host = parse_url(response_.url).host;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      throw Failure{HubReason::network, fmt::format("the name {} has no address", host), true,
                    "Is there a network?"};
    case CURLE_COULDNT_RESOLVE_PROXY:
      throw Failure{HubReason::network, "the proxy's name has no address", true,
                    "Look at http_proxy and https_proxy."};
    case CURLE_COULDNT_CONNECT:
      throw Failure{HubReason::network, fmt::format("{} takes no connection", host), true,
                    "Is there a network, and is the address right?"};
    case CURLE_OPERATION_TIMEDOUT:
      throw Failure{HubReason::network,
                    fmt::format("{} took no connection within {}", host,
                                seconds_text(options_.connect_timeout)),
                    true, "Is there a network, and is the address right?"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      throw Failure{HubReason::network, fmt::format("the certificate of {} is not trusted", host),
                    false, "Is the clock right, and is the package ca-certificates installed?"};
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      throw Failure{HubReason::network, fmt::format("{} cut the connection", host)};
    default:
      throw Failure{HubReason::network, fmt::format("{}: {}", host, curl_easy_strerror(code))};
  }
}

}  // namespace tarn::lm::hub
