// Where things lie in the cache, and the writes that never leave it.
//
//   models--org--name/blobs/HASH              the content of a file
//                     blobs/HASH.incomplete   the part of it that has come
//                     blobs/HASH.etag         what its server called the content
//                     snapshots/COMMIT/NAME   a link to its blob, or a copy on disks without
//                     refs/main               the commit that a branch meant when it was asked for
//   .locks/models--org--name/HASH.lock        held by the process that writes the blob
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "tarn/lm/hub.h"

namespace tarn::lm::hub {

class Layout {
 public:
  // Throws HubError (bad_name) for what is no id.
  Layout(const std::filesystem::path& cache, const std::string& id);

  std::filesystem::path root() const { return root_; }
  std::filesystem::path blobs() const { return root_ / "blobs"; }
  std::filesystem::path refs() const { return root_ / "refs"; }
  std::filesystem::path snapshots() const { return root_ / "snapshots"; }
  std::filesystem::path locks() const { return locks_; }
  std::filesystem::path blob(const HubFile& f) const { return blobs() / f.blob(); }
  std::filesystem::path part(const HubFile& f) const;
  std::filesystem::path etag(const HubFile& f) const;
  std::filesystem::path lock(const HubFile& f) const;
  std::filesystem::path snapshot(const std::string& commit) const { return snapshots() / commit; }

  // Makes the folders for blobs and locks.
  void make_folders() const;
  // Whether the blob is there with its size.
  bool has_blob(const HubFile& file) const;
  // The commit that a branch, tag or commit means here; nothing when that is not known.
  std::optional<std::string> commit_of(const std::string& revision) const;
  void write_ref(const std::string& revision, const std::string& commit) const;
  // Puts a file of a commit into its snapshot folder.
  void link(const std::string& commit, const HubFile& file) const;
  // Whether it is there.
  bool is_linked(const std::string& commit, const HubFile& file) const;

 private:
  std::filesystem::path cache_, root_, locks_;
};

// Makes the folders of `below` inside `base` as far as they are missing. Throws HubError (disk)
// when one of them is a link or no folder.
std::filesystem::path make_real_folders(const std::filesystem::path& base,
                                        const std::filesystem::path& below);
// Throws HubError (disk) that names what could not be done with the file, and errno's reason.
[[noreturn]] void fail_on_disk(const std::filesystem::path& path, std::string_view what, int error);
// Bytes that this user may still write to the disk that has `folder` or will have it.
uint64_t free_bytes(const std::filesystem::path& folder);
// Makes names in the folder last; best effort.
void sync_folder(const std::filesystem::path& folder);
// The size of a regular file that is not a link.
std::optional<uint64_t> regular_size(const std::filesystem::path& path);

}  // namespace tarn::lm::hub
