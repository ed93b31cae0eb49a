#include "lm/hub/url.h"

#include <curl/curl.h>

#include <memory>

namespace tarn::lm::hub {

Url parse_url(const std::string& base, const std::string& relative) {
  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  CURLU* it = parsed.get();
  auto set = [it](const std::string& text) {
    return curl_url_set(it, CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
  };
  if (!it || !set(base) || (!relative.empty() && !set(relative))) return {};
  auto part = [it](CURLUPart what, unsigned flags = 0) {
    char* text = nullptr;
    std::string copy = curl_url_get(it, what, &text, flags) == CURLUE_OK ? text : "";
    curl_free(text);
    return copy;
  };
  Url url{part(CURLUPART_URL), part(CURLUPART_SCHEME), part(CURLUPART_HOST)};
  if (std::string port = part(CURLUPART_PORT, CURLU_NO_DEFAULT_PORT); !port.empty())
    url.host += ":" + port;
  url.has_user = !part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty();
  return url;
}

}  // namespace tarn::lm::hub
