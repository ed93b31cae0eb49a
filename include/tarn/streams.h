// Where files can come from and go to besides a path: sources and sinks of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ios>
#include <memory>
#include <string>

namespace tarn::io {

// A source of bytes with a position. One thread at a time, but for the read that names an offset.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual bool is_open() const = 0;
  virtual bool good() const = 0;
  virtual size_t tell() = 0;
  virtual void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) = 0;
  // Fill `data` from the position on, which moves, or from `offset` on. Throw FileError when there
  // are fewer bytes.
  virtual void read(char* data, size_t n) = 0;
  virtual void read(char* data, size_t n, size_t offset) = 0;
  // What errors call it.
  virtual std::string label() const = 0;
};

class Writer {
 public:
  virtual ~Writer() = default;
  virtual bool is_open() const = 0;
  virtual bool good() const = 0;
  virtual size_t tell() = 0;
  virtual void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) = 0;
  virtual void write(const char* data, size_t n) = 0;
  virtual std::string label() const = 0;
};

// A file. Several threads may read at offsets of their own. Throws FileError when it cannot be
// opened.
class ParallelFileReader : public Reader {
 public:
  explicit ParallelFileReader(std::string file_path);
  ~ParallelFileReader() override;
  bool is_open() const override { return true; }
  bool good() const override { return true; }
  size_t tell() override { return at_; }
  void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) override;
  void read(char* data, size_t n) override;
  void read(char* data, size_t n, size_t offset) override;
  std::string label() const override;

 private:
  struct File;
  std::unique_ptr<File> file_;
  size_t at_ = 0;
};

// A file that is overwritten as it is written. Saving to a path is safer: that file is replaced
// when all is there.
class FileWriter : public Writer {
 public:
  explicit FileWriter(std::string file_path);
  ~FileWriter() override;
  bool is_open() const override;
  bool good() const override;
  size_t tell() override;
  void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) override;
  void write(const char* data, size_t n) override;
  std::string label() const override;

 private:
  struct File;
  std::unique_ptr<File> file_;
};

// Bytes in memory.
class MemoryReader : public Reader {
 public:
  explicit MemoryReader(std::string bytes, std::string label = "memory")
      : bytes_(std::move(bytes)), label_(std::move(label)) {}
  bool is_open() const override { return true; }
  bool good() const override { return true; }
  size_t tell() override { return at_; }
  void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) override;
  void read(char* data, size_t n) override;
  void read(char* data, size_t n, size_t offset) override;
  std::string label() const override { return label_; }

 private:
  std::string bytes_, label_;
  size_t at_ = 0;
};

class MemoryWriter : public Writer {
 public:
  explicit MemoryWriter(std::string label = "memory") : label_(std::move(label)) {}
  bool is_open() const override { return true; }
  bool good() const override { return true; }
  size_t tell() override { return at_; }
  void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) override;
  // Over what is there, then behind it.
  void write(const char* data, size_t n) override;
  std::string label() const override { return label_; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_{}, label_;
  size_t at_ = 0;
};

}  // namespace tarn::io
