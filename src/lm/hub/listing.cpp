#include "lm/hub/listing.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/json.h"
#include "lm/hub/names.h"
#include "lm/hub/retry.h"

namespace tarn::lm::hub {
namespace {

constexpr size_t longest_listing = size_t{32} << 20;  // some 150,000 files
constexpr uint64_t largest_file = uint64_t{1} << 44;  // 16 TiB; the sum of all fits 64 bits
constexpr size_t most_files = 200'000;

struct Reader {
  const std::string& id;

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) const {
    hub::refuse(HubReason::content, "[hub] {}: the hub's list of files {}.", id,
                fmt::format(text, std::forward<Args>(args)...));
  }

  const Json* find(const Json& object, const char* key) const {
    auto it = object.is_object() ? object.find(key) : object.end();
    return it == object.end() || it->is_null() ? nullptr : &*it;
  }

  std::string text(const Json& object, const char* key) const {
    const Json* value = find(object, key);
    return value && value->is_string() ? value->get<std::string>() : "";
  }

  uint64_t size(const Json& entry, const Json* lfs, const std::string& name) const {
    const Json* value = lfs ? find(*lfs, "size") : nullptr;
    if (!value) value = find(entry, "size");
    if (!value || !value->is_number_unsigned()) refuse("gives no size for {}", printable(name));
    auto bytes = value->get<uint64_t>();
    if (bytes > largest_file) refuse("says that {} has {} bytes", printable(name), bytes);
    return bytes;
  }

  HubFile file(const Json& entry) const {
    HubFile f;
    f.name = text(entry, "rfilename");
    if (auto fault = fault_of_file_name(f.name))
      refuse("has the name \"{}\", and {}: nothing is written", printable(f.name), *fault);
    const Json* lfs = find(entry, "lfs");
    if (lfs) f.sha256 = text(*lfs, find(*lfs, "sha256") ? "sha256" : "oid");
    if (lfs && !is_sha256(f.sha256)) refuse("gives no SHA-256 for {}", printable(f.name));
    const Json* blob = lfs ? nullptr : find(entry, "blobId");
    if (blob) f.git_sha1 = text(entry, "blobId");
    if (blob && !is_commit(f.git_sha1)) refuse("gives no hash for {}", printable(f.name));
    // A mirror without hashes may know no sizes either: see complete().
    if (f.has_hash() || find(entry, "size")) f.bytes = size(entry, lfs, f.name);
    return f;
  }
};

}  // namespace

HubListing parse_listing(std::string_view text, const std::string& id, const std::string& place) {
  Json json;
  try {
    json = parse_json(text, place);
  } catch (const FileError& error) {
    refuse(HubReason::content, "[hub] {}: the hub's list of files cannot be read: {}", id,
           error.what());
  }
  Reader reader{id};
  HubListing listing{id, reader.text(json, "sha"), {}};
  const Json* siblings = reader.find(json, "siblings");
  if (!is_commit(listing.commit)) reader.refuse("does not say of which commit it is");
  if (!siblings || !siblings->is_array()) reader.refuse("has no `siblings`");
  if (siblings->size() > most_files)
    reader.refuse("has {} files; at most {} are read", siblings->size(), most_files);
  for (const Json& entry : *siblings) listing.files.push_back(reader.file(entry));
  return listing;
}

HubListing fetch_listing(HttpClient& http, const HubOptions& options, const std::string& id,
                         const std::string& revision) {
  check_id(id);
  check_revision(revision);
  std::string url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", options.endpoint, id,
                                url_escaped(revision, false));
  std::string text;
  auto head = [&](const HttpResponse& r) {
    text.clear();
    if (r.status != 200) throw failure_of_status(r, options, "model");
    if (const auto& coding = r.header("content-encoding"); !coding.empty() && coding != "identity")
      throw Failure{HubReason::content,
                    fmt::format("the hub's list of files comes as {}, which was not asked for",
                                printable(coding)),
                    false};
  };
  auto body = [&](std::string_view bytes) {
    if (text.size() + bytes.size() > longest_listing)
      throw Failure{
          HubReason::content,
          fmt::format("the hub's list of files has more than {} MiB", longest_listing >> 20),
          false};
    text += bytes;
  };
  bool is_commit_asked = is_commit(revision);
  std::string subject = revision == "main" ? id : fmt::format("{} at {}", id, revision);
  try_again(options, http.stop(), {subject, [&] { http.get({url}, {head, body}); }, {}});
  HubListing listing = parse_listing(text, id, url);
  if (is_commit_asked && listing.commit != revision)
    refuse(HubReason::content, "[hub] {}: asked for commit {}, the hub tells of {}.", id, revision,
           listing.commit);
  return listing;
}

namespace {

constexpr size_t longest_etag = 128;

bool can_name_a_blob(std::string_view etag) {
  return !etag.empty() && etag.size() <= longest_etag &&
         std::all_of(etag.begin(), etag.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '-' || c == '_' || c == '+';
         });
}

// Takes from an answer's head what the list of files did not say.
void take_head(HubFile& f, const HttpResponse& r) {
  const std::string& linked = r.header("x-linked-etag");
  std::string etag = unquoted(linked.empty() ? r.header("etag") : linked);
  bool is_hub = !r.header("x-repo-commit").empty();  // whose ETags are the hashes
  if (is_hub && is_sha256(etag)) f.sha256 = etag;
  if (is_hub && is_commit(etag)) f.git_sha1 = etag;
  if (!f.has_hash() && can_name_a_blob(etag)) f.etag = etag;
  const std::string& far = r.header("x-linked-size");
  const std::string& text = far.empty() ? r.header("content-length") : far;
  uint64_t bytes = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  bool is_told = error == std::errc() && !text.empty() && end == text.data() + text.size();
  if (f.blob().empty() || !is_told || bytes > largest_file || (f.bytes && f.bytes != bytes))
    throw Failure{HubReason::content,
                  f.blob().empty()
                      ? "the hub tells neither a hash of it nor an ETag"
                      : fmt::format("the hub says that it has \"{}\" bytes", printable(text)),
                  false};
  f.bytes = bytes;
}

}  // namespace

std::string unquoted(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

std::string url_of(const HubOptions& options, const std::string& id, const std::string& commit,
                   const HubFile& file) {
  return fmt::format("{}/{}/resolve/{}/{}", options.endpoint, id, commit,
                     url_escaped(file.name, true));
}

void complete(HttpClient& http, const HubOptions& options, const HubListing& listing,
              std::vector<HubFile>& files) {
  for (HubFile& f : files) {
    if (f.has_hash()) continue;
    auto head = [&](const HttpResponse& r) {
      if (r.status != 200) throw failure_of_status(r, options, "file");
      take_head(f, r);
    };
    HttpRequest request{.url = url_of(options, listing.id, listing.commit, f), .only_head = true};
    auto ask = [&] { http.get(request, {head, [](std::string_view) {}}); };
    try_again(options, http.stop(), {listing.id + "/" + f.name, ask, {}});
  }
}

}  // namespace tarn::lm::hub
