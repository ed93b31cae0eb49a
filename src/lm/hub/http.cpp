#include "lm/hub/http.h"

#include <mutex>

#include "lm/hub/names.h"
#include "lm/hub/transfer.h"
#include "lm/hub/url.h"

namespace tarn::lm::hub {
namespace {

constexpr int most_redirects = 5;

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] {
    require<DeviceError>(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK,
                         "[hub] libcurl cannot start.");
  });
}

// Where a redirect leads. Throws Failure for what must not be followed.
std::string next_address(const HttpResponse& response) {
  const std::string& to = response.header("location");
  auto refuse_it = [&](std::string_view why) {
    throw Failure{HubReason::server,
                  fmt::format("{} redirects {}", parse_url(response.url).host, why), false,
                  "The hub or something before it is set up wrongly."};
  };
  if (to.empty()) refuse_it("without saying where to");
  Url from = parse_url(response.url), next = parse_url(response.url, to);
  if (next.text.empty() || (next.scheme != "http" && next.scheme != "https"))
    refuse_it(fmt::format("to \"{}\", which is not an address of http or https", printable(to)));
  if (from.scheme == "https" && next.scheme == "http")
    refuse_it(fmt::format("from https to http ({}), which anybody could read and change",
                          printable(next.host)));
  if (next.has_user) refuse_it("to an address with a user and a password");
  return next.text;
}

}  // namespace

const std::string& HttpResponse::header(const std::string& name) const {
  static const std::string none;
  auto it = headers.find(name);
  return it == headers.end() ? none : it->second;
}

HttpClient::HttpClient(const HubOptions& options, std::stop_token stop)
    : options_(options), stop_(std::move(stop)) {
  start_curl();
  handles_ = std::make_unique<Handles>();
  require<DeviceError>(handles_->multi && handles_->easy,
                       "[hub] there is no memory for a connection.");
}

HttpClient::~HttpClient() = default;

void HttpClient::get(const HttpRequest& request, const HttpSink& sink) {
  HttpResponse response;
  response.url = request.url;
  for (int redirects = 0;; ++redirects) {
    Transfer(*handles_, options_, request, sink, response).run(stop_);
    if (!is_redirect(response.status)) return;
    if (redirects == most_redirects)
      throw Failure{HubReason::server,
                    fmt::format("{} redirects more than {} times", parse_url(request.url).host,
                                most_redirects),
                    false, "The hub or something before it is set up wrongly."};
    response.url = next_address(response);
  }
}

}  // namespace tarn::lm::hub
