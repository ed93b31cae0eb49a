// The hash of a file's bytes as they come: SHA-256, or git's SHA-1 of a blob.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tarn/lm/hub.h"

namespace tarn::lm::hub {

class Digest {
 public:
  // Of the kind that `file` has: SHA-256 where it is known, else git's.
  explicit Digest(const HubFile& file);

  void add(std::string_view bytes);
  // In lower-case hexadecimal. Once.
  std::string hex();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

// "SHA-256" or "git SHA-1".
const char* hash_name(const HubFile& file);

}  // namespace tarn::lm::hub
