// Where and in which order work runs.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace tarn {

struct Device {
  enum class DeviceType : int { cpu, gpu };  // no padding: streams are copied with each operation
  static constexpr DeviceType cpu = DeviceType::cpu;
  static constexpr DeviceType gpu = DeviceType::gpu;

  DeviceType type = DeviceType::cpu;
  int index = 0;

  constexpr Device() = default;
  constexpr Device(DeviceType t, int i = 0) : type(t), index(i) {}
  friend constexpr bool operator==(Device a, Device b) {
    return a.type == b.type && a.index == b.index;
  }
  friend constexpr bool operator==(Device d, DeviceType t) { return d.type == t; }
  friend constexpr bool operator<(Device a, Device b) {
    return a.type != b.type ? a.type < b.type : a.index < b.index;
  }
};

// An order of evaluation on a device. On the CPU it is an order, not a thread.
struct Stream {
  int index = 0;
  Device device{};
  friend constexpr bool operator==(Stream a, Stream b) {
    return a.index == b.index && a.device == b.device;
  }
  friend constexpr bool operator<(Stream a, Stream b) {
    return a.device == b.device ? a.index < b.index : a.device < b.device;
  }
};

// A name for a stream of each thread's own; see stream_from_thread_local_stream.
struct ThreadLocalStream : Stream {
  constexpr ThreadLocalStream() = default;
  constexpr ThreadLocalStream(int i, Device d) : Stream{i, d} {}
};

// Nothing (the calling thread's default stream), a stream, a thread's own stream, or a device (its
// default stream). Which stream that is, is decided where it is used.
struct StreamOrDevice {
  enum class What : int { nothing, device, stream, thread_local_stream } what = What::nothing;
  Stream stream{};
  constexpr StreamOrDevice() = default;
  constexpr StreamOrDevice(Stream s) : what(What::stream), stream(s) {}
  constexpr StreamOrDevice(ThreadLocalStream s) : what(What::thread_local_stream), stream(s) {}
  constexpr StreamOrDevice(Device d) : what(What::device), stream{0, d} {}
  constexpr StreamOrDevice(Device::DeviceType t) : StreamOrDevice(Device(t)) {}
};

// The calling thread's default device. Every thread starts with the CPU, or with the GPU where
// there is one and the environment has TARN_DEVICE=gpu.
Device default_device();
void set_default_device(Device d);
bool is_available(Device d);
int device_count(Device::DeviceType type);
// device_name, architecture, memory_size (bytes); of the CPU also isa and threads, of a GPU
// multiprocessors.
// Throws ValueError when there is no such device.
std::unordered_map<std::string, std::variant<std::string, size_t>> device_info(
    Device d = default_device());

// Any thread may use any stream; all streams of a device share one queue.
Stream default_stream(Device d);
// The same: here every thread has one.
std::optional<Stream> peek_default_stream(Device d);
void set_default_stream(Stream s);
Stream new_stream(Device d);
Stream new_thread_unsafe_stream(Device d);
ThreadLocalStream new_thread_local_stream(Device d);
// The calling thread's stream of that name, made at its first use.
Stream stream_from_thread_local_stream(ThreadLocalStream s);
// The default stream, then those that were made since the last clear_streams(), in that order.
std::vector<Stream> get_streams();
// Waits for what async_eval started and forgets the streams, those of all threads included. Each
// thread's default stream is the first again; who kept another may go on using it.
void clear_streams();
Stream to_stream(StreamOrDevice s);
// `default_` says where, when s says nothing.
Stream to_stream(StreamOrDevice s, Device default_);
// Waits for everything that async_eval started. Throws the first error met.
void synchronize();
void synchronize(Stream s);
void synchronize(ThreadLocalStream s);

// While it lives, the calling thread's default device and stream are those of `s`; then what they
// were. Throws ValueError when s says nothing.
class StreamContext {
 public:
  explicit StreamContext(StreamOrDevice s);
  ~StreamContext();
  StreamContext(const StreamContext&) = delete;
  StreamContext& operator=(const StreamContext&) = delete;

 private:
  Device device_;
  Stream stream_;
};

std::ostream& operator<<(std::ostream& out, Device d);
std::ostream& operator<<(std::ostream& out, Stream s);

}  // namespace tarn
