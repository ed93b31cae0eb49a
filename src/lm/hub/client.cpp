#include <algorithm>

#include "lm/hub/fetch.h"
#include "lm/hub/listing.h"
#include "lm/hub/local.h"
#include "lm/hub/names.h"
#include "lm/hub/select.h"
#include "lm/hub/settings.h"

namespace tarn::lm {

using namespace hub;
namespace fs = std::filesystem;

struct HubClient::Impl {
  HubOptions options{};

  Source source(const std::string& id, const std::string& commit) const {
    return {options, id, commit, Layout(options.cache, id)};
  }
  // The files that the patterns mean, with what each can be checked by.
  std::vector<HubFile> chosen(const HubListing& listing, const std::vector<std::string>& patterns,
                              const std::stop_token& stop) const {
    std::vector<HubFile> files = select_files(listing, patterns);
    HttpClient http(options, stop);
    complete(http, options, listing, files);
    return files;
  }
};

namespace {

std::string name_with_revision(const std::string& id, const std::string& revision) {
  return revision == "main" ? id : fmt::format("{} at {}", id, printable(revision));
}

[[noreturn]] void refuse_offline(const std::string& lack) {
  refuse(HubReason::offline,
         "[hub] {}; the hub is not asked (offline). Without HF_HUB_OFFLINE and --offline it would "
         "be downloaded.",
         lack);
}

void check_pin(const ModelConfiguration& model) {
  if (!is_commit(model.commit))
    refuse(HubReason::bad_name, "[hub] {}: the pinned commit \"{}\" is not 40 hexadecimal digits.",
           model.id, printable(model.commit));
  for (const HubFile& f : model.files) {
    if (auto fault = fault_of_file_name(f.name))
      refuse(HubReason::bad_name, "[hub] {}: the pinned file \"{}\" cannot be written: {}.",
             model.id, printable(f.name), *fault);
    if (!is_sha256(f.sha256) && !(f.sha256.empty() && is_commit(f.git_sha1)))
      refuse(HubReason::bad_name, "[hub] {}: the pinned file {} has no hash.", model.id, f.name);
  }
}

std::vector<std::string> patterns_of(const ModelConfiguration& model) {
  return model.file.empty() ? std::vector<std::string>() : std::vector<std::string>{model.file};
}

// The revision to ask for: the commit where there is a pin.
const std::string& revision_of(const ModelConfiguration& model) {
  return model.commit.empty() ? model.revision : model.commit;
}

Local look(const Layout& layout, const ModelConfiguration& model) {
  if (model.files.empty()) return look_for_revision(layout, revision_of(model), patterns_of(model));
  check_pin(model);
  return look_for_files(layout, model.commit, model.files);
}

void check_directory(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(directory, error))
    refuse(HubReason::not_found, "[hub] {} does not exist. Check the path.",
           printable(directory.string(), 4096));
}

// What has come of a model so far; true when somebody is bringing more of it.
bool measure_parts(const Layout& layout, DownloadProgress& progress) {
  constexpr std::string_view suffix = ".incomplete";
  bool is_coming = false;
  std::error_code error;
  for (fs::directory_iterator it(layout.blobs(), error), end; !error && it != end;
       it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!name.ends_with(suffix)) continue;
    name.resize(name.size() - suffix.size());
    progress.bytes_done += regular_size(it->path()).value_or(0);
    is_coming |= BlobLock::is_taken(layout.locks() / (name + ".lock"));
  }
  return is_coming;
}

}  // namespace

HubClient::HubClient(HubOptions options)
    : impl_(std::make_shared<const Impl>(Impl{resolved(std::move(options))})) {}

const HubClient& HubClient::shared() {
  static const HubClient client;
  return client;
}

const HubOptions& HubClient::options() const { return impl_->options; }

fs::path HubClient::snapshot(const std::string& id, const std::string& revision,
                             const std::vector<std::string>& patterns,
                             const FetchOptions& options) const {
  Source source = impl_->source(id, "");
  Local local = look_for_revision(source.layout, revision, patterns);
  if (*impl_->options.offline && !local.is_whole())
    refuse_offline(lack_text(name_with_revision(id, revision), impl_->options, local));
  // What a wildcard means, only the hub knows.
  bool is_exact = std::none_of(patterns.begin(), patterns.end(), has_wildcard);
  bool may_do = is_exact && (!options.use_latest || is_commit(revision));
  if (local.is_whole() && (may_do || *impl_->options.offline)) return local.folder;
  HubListing listing = list(id, revision, options.stop);
  source.commit = listing.commit;
  fetch_files(source, impl_->chosen(listing, patterns, options.stop), options);
  source.layout.write_ref(revision, listing.commit);
  return source.layout.snapshot(listing.commit);
}

fs::path HubClient::fetch(const ModelConfiguration& model, const FetchOptions& options) const {
  if (!model.directory.empty()) {
    check_directory(model.directory);
    return model.directory;
  }
  if (model.files.empty())
    return path_in(snapshot(model.id, revision_of(model), patterns_of(model), options), model);
  Source source = impl_->source(model.id, model.commit);
  Local local = look(source.layout, model);
  if (!local.is_whole() && *impl_->options.offline)
    refuse_offline(lack_text(model.id + " as pinned", impl_->options, local));
  fetch_files(source, model.files, options);
  return path_in(source.layout.snapshot(model.commit), model);
}

HubListing HubClient::list(const std::string& id, const std::string& revision,
                           std::stop_token stop) const {
  check_id(id);
  if (*impl_->options.offline)
    refuse(HubReason::offline,
           "[hub] {}: the hub is not asked (offline). Its files can be listed without "
           "HF_HUB_OFFLINE and --offline.",
           id);
  HttpClient http(impl_->options, std::move(stop));
  return fetch_listing(http, impl_->options, id, revision);
}

ModelConfiguration HubClient::pin(const ModelConfiguration& model, std::stop_token stop) const {
  ModelConfiguration pinned = model;
  HubListing listing = list(model.id, model.revision, stop);
  pinned.commit = listing.commit;
  pinned.files = impl_->chosen(listing, patterns_of(model), stop);
  for (const HubFile& f : pinned.files)
    if (!f.has_hash())
      refuse(HubReason::content,
             "[hub] {}: the hub tells no hash of {}, so it cannot be pinned. Ask another one "
             "(HF_ENDPOINT).",
             model.id, printable(f.name));
  std::sort(pinned.files.begin(), pinned.files.end(),
            [](const HubFile& a, const HubFile& b) { return a.name < b.name; });
  return pinned;
}

Availability HubClient::availability(const ModelConfiguration& model) const {
  Availability answer;
  try {
    if (!model.directory.empty()) {
      check_directory(model.directory);
      return {.state = Availability::State::available, .path = model.directory};
    }
    Layout layout(impl_->options.cache, model.id);
    Local local = look(layout, model);
    if (local.is_whole()) {
      fs::path path = path_in(local.folder, model);
      return {.state = Availability::State::available, .path = path};
    }
    for (const HubFile& f : model.files) {
      answer.progress.bytes_total += f.bytes;
      if (layout.has_blob(f)) answer.progress.bytes_done += f.bytes;
    }
    if (measure_parts(layout, answer.progress)) answer.state = Availability::State::downloading;
    bool is_offline = *impl_->options.offline;
    answer.reason = is_offline ? HubReason::offline : HubReason::not_downloaded;
    answer.message =
        lack_text(name_with_revision(model.id, revision_of(model)), impl_->options, local) + ".";
    answer.can_retry = !is_offline;
  } catch (const HubError& error) {
    answer.reason = error.reason();
    answer.message = error.what();
  }
  return answer;
}

}  // namespace tarn::lm
