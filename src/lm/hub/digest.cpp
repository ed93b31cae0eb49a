#include "lm/hub/digest.h"

#include <openssl/evp.h>

#include "lm/hub/names.h"

namespace tarn::lm::hub {
namespace {

EVP_MD_CTX* context_of(void* it) { return static_cast<EVP_MD_CTX*>(it); }

void check(int done) {
  require<DeviceError>(done == 1, "[hub] OpenSSL cannot compute a hash here.");
}

}  // namespace

void Digest::Free::operator()(void* context) const { EVP_MD_CTX_free(context_of(context)); }

Digest::Digest(const HubFile& file) : context_(EVP_MD_CTX_new()) {
  check(context_ != nullptr);
  bool is_git = file.sha256.empty();
  check(EVP_DigestInit_ex(context_of(context_.get()), is_git ? EVP_sha1() : EVP_sha256(), nullptr));
  if (is_git) add(fmt::format("blob {}", file.bytes) + '\0');
}

void Digest::add(std::string_view bytes) {
  check(EVP_DigestUpdate(context_of(context_.get()), bytes.data(), bytes.size()));
}

std::string Digest::hex() {
  constexpr char digits[] = "0123456789abcdef";
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  check(EVP_DigestFinal_ex(context_of(context_.get()), bytes, &n));
  std::string text;
  for (unsigned int i = 0; i < n; ++i) text += {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
  return text;
}

const char* hash_name(const HubFile& file) { return file.sha256.empty() ? "git SHA-1" : "SHA-256"; }

}  // namespace tarn::lm::hub
