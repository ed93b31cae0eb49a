#include "tarn/streams.h"

#include <cstring>
#include <fstream>

#include "base/file.h"
#include "base/printable.h"
#include "base/require.h"

namespace tarn::io {
namespace {

// Where a seek leads: not before the start and not past `end`.
size_t sought(int64_t off, std::ios_base::seekdir way, size_t at, size_t end,
              const std::string& label) {
  auto from = static_cast<int64_t>(way == std::ios_base::beg   ? 0
                                   : way == std::ios_base::cur ? at
                                                               : end);
  auto last = static_cast<int64_t>(end);
  require<FileError>(off >= -from && off <= last - from,
                     "[seek] {}: {} bytes from byte {} lie outside its {} bytes.",
                     printable(label, 4096), off, from, end);
  return static_cast<size_t>(from + off);
}

void copy_from(const std::string& bytes, char* data, size_t n, size_t offset,
               const std::string& label) {
  require<FileError>(offset <= bytes.size() && n <= bytes.size() - offset,
                     "[read] {}: byte {}: {} bytes are needed, {} are left.",
                     printable(label, 4096), offset, n,
                     bytes.size() - std::min(offset, bytes.size()));
  if (n > 0) std::memcpy(data, bytes.data() + offset, n);
}

}  // namespace

struct ParallelFileReader::File {
  std::string path{};
  InputFile file;
};
ParallelFileReader::ParallelFileReader(std::string path) : file_(new File{path, InputFile(path)}) {}
ParallelFileReader::~ParallelFileReader() = default;
void ParallelFileReader::seek(int64_t off, std::ios_base::seekdir way) {
  at_ = sought(off, way, at_, static_cast<size_t>(file_->file.size()), file_->path);
}
void ParallelFileReader::read(char* data, size_t n) {
  read(data, n, at_);
  at_ += n;
}
void ParallelFileReader::read(char* data, size_t n, size_t offset) {
  file_->file.read(data, n, offset);
}
std::string ParallelFileReader::label() const { return "file " + file_->path; }

struct FileWriter::File {
  std::string path{};
  std::ofstream file;
};
FileWriter::FileWriter(std::string path)
    : file_(new File{path, std::ofstream(path, std::ios::binary | std::ios::trunc)}) {
  require<FileError>(is_open(), "[save] {}: the file cannot be opened for writing.",
                     printable(path, 4096));
}
FileWriter::~FileWriter() = default;
bool FileWriter::is_open() const { return file_->file.is_open(); }
bool FileWriter::good() const { return file_->file.good(); }
size_t FileWriter::tell() { return static_cast<size_t>(file_->file.tellp()); }
void FileWriter::seek(int64_t off, std::ios_base::seekdir way) { file_->file.seekp(off, way); }
void FileWriter::write(const char* data, size_t n) {
  file_->file.write(data, static_cast<std::streamsize>(n));
  // Now, so that a full disk is an error of this call.
  file_->file.flush();
  require<FileError>(good(), "[save] {}: {} bytes could not be written.",
                     printable(file_->path, 4096), n);
}
std::string FileWriter::label() const { return "file " + file_->path; }

void MemoryReader::seek(int64_t off, std::ios_base::seekdir way) {
  at_ = sought(off, way, at_, bytes_.size(), label_);
}
void MemoryReader::read(char* data, size_t n) {
  read(data, n, at_);
  at_ += n;
}
void MemoryReader::read(char* data, size_t n, size_t offset) {
  copy_from(bytes_, data, n, offset, label_);
}

void MemoryWriter::seek(int64_t off, std::ios_base::seekdir way) {
  at_ = sought(off, way, at_, bytes_.size(), label_);
}
void MemoryWriter::write(const char* data, size_t n) {
  bytes_.replace(at_, std::min(n, bytes_.size() - at_), data, n);
  at_ += n;
}

}  // namespace tarn::io
