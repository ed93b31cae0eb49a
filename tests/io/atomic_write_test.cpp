#include "io/atomic_write.h"

#include <sys/resource.h>

#include <csignal>

#include "io_files.h"

namespace tarn_test {
namespace {

using tarn::io::AtomicFile;

TEST(AtomicWrite, NothingIsThereBeforeCommit) {
  Folder folder;
  AtomicFile out(folder.at("f"));
  out.write("new");
  EXPECT_FALSE(std::filesystem::exists(folder.at("f")));
  out.commit();
  EXPECT_EQ(folder.read("f"), "new");
  EXPECT_EQ(folder.names().size(), 1u);
}

TEST(AtomicWrite, WithoutCommitTheOldFileStays) {
  Folder folder;
  folder.write("f", "old");
  { AtomicFile(folder.at("f")).write("half of the n"); }
  EXPECT_EQ(folder.read("f"), "old");
  EXPECT_EQ(folder.names().size(), 1u);
}

TEST(AtomicWrite, AFullDiskLeavesTheOldFile) {
  Folder folder;
  folder.write("f", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small{1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message = error_of([&] {
    AtomicFile out(folder.at("f"));
    out.write(std::string(1500, 'x'));
    out.commit();
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(message, "[save] " + folder.at("f") +
                         ": cannot write (byte 1000): File too large. The "
                         "old file, if there was one, was kept.");
  EXPECT_EQ(folder.read("f"), "old");
  EXPECT_EQ(folder.names().size(), 1u);
}

TEST(AtomicWrite, KeepsModeAndFollowsLinks) {
  Folder folder;
  folder.write("real", "old");
  ::chmod(folder.at("real").c_str(), 0600);
  std::filesystem::create_symlink("real", folder.at("link"));
  AtomicFile out(folder.at("link"));
  out.write("new");
  out.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder.at("link")));
  EXPECT_EQ(folder.read("real"), "new");
  struct stat st {};
  ASSERT_EQ(::stat(folder.at("real").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST(AtomicWrite, RefusesWhatIsNoFile) {
  Folder folder;
  EXPECT_EQ(error_of([&] { AtomicFile out(folder.at("")); }),
            "[save] " + folder.at("") + ": this is a directory or a device; name a regular file.");
  EXPECT_EQ(error_of([&] { AtomicFile out(folder.at("none/f")); }),
            "[save] " + folder.at("none/f") +
                ": cannot create a file beside it (byte 0): No such "
                "file or directory. The old file, if there was one, was kept.");
  EXPECT_EQ(error_of([&] { AtomicFile out(""); }), "[save] \"\" is no path. Name a file.");
}

}  // namespace
}  // namespace tarn_test
