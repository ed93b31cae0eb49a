// The files of one commit, brought into the cache by several threads at once.
#pragma once

#include <string>
#include <vector>

#include "lm/hub/blob_download.h"
#include "tarn/lm/hub.h"

namespace tarn::lm::hub {

// Downloads what the cache lacks and makes the snapshot whole. Throws HubError, and Cancelled after
// a stop; parts stay.
void fetch_files(const Source& source, const std::vector<HubFile>& files,
                 const FetchOptions& options);

}  // namespace tarn::lm::hub
