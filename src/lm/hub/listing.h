// What a hub says that a model consists of.
#pragma once

#include "lm/hub/http.h"

namespace tarn::lm::hub {

// Throws HubError, also for names that are no file names and for files without size or hash.
HubListing fetch_listing(HttpClient& http, const HubOptions& options, const std::string& id,
                         const std::string& revision);
// Of the text that the hub sends; `place` is named in errors.
HubListing parse_listing(std::string_view text, const std::string& id, const std::string& place);

}  // namespace tarn::lm::hub
