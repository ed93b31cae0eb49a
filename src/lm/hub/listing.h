// What a hub says that a model consists of.
#pragma once

#include "lm/hub/http.h"

namespace tarn::lm::hub {

// Throws HubError, also for names that are no file names and for broken sizes and hashes. A mirror
// may tell no hash of a file.
HubListing fetch_listing(HttpClient& http, const HubOptions& options, const std::string& id,
                         const std::string& revision);
// Of the text that the hub sends; `place` is named in errors.
HubListing parse_listing(std::string_view text, const std::string& id, const std::string& place);

// Asks for the heads of those files of which no hash is told: their hash or ETag, and their size.
void complete(HttpClient& http, const HubOptions& options, const HubListing& listing,
              std::vector<HubFile>& files);
// Where a file of a commit is.
std::string url_of(const HubOptions& options, const std::string& id, const std::string& commit,
                   const HubFile& file);
// An ETag without its marks.
std::string unquoted(std::string_view etag);

}  // namespace tarn::lm::hub
