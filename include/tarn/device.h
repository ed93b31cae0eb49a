// Where and in which order work runs.
#pragma once

#include <cstdint>
#include <iosfwd>

namespace tarn {

struct Device {
  enum class DeviceType : uint8_t { cpu, gpu };
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
};

// An order of evaluation on a device. On the CPU it is an order, not a thread.
struct Stream {
  int index = 0;
  Device device{};
  friend constexpr bool operator==(Stream a, Stream b) {
    return a.index == b.index && a.device == b.device;
  }
};

// Nothing (the calling thread's default stream), a stream, or a device (its default stream).
struct StreamOrDevice {
  enum class What : uint8_t { nothing, device, stream } what = What::nothing;
  Stream stream{};
  constexpr StreamOrDevice() = default;
  constexpr StreamOrDevice(Stream s) : what(What::stream), stream(s) {}
  constexpr StreamOrDevice(Device d) : what(What::device), stream{0, d} {}
  constexpr StreamOrDevice(Device::DeviceType t) : StreamOrDevice(Device(t)) {}
};

// The calling thread's default device; every thread starts with the CPU.
Device default_device();
void set_default_device(Device d);
bool is_available(Device d);
int device_count(Device::DeviceType type);
Stream default_stream(Device d);
void set_default_stream(Stream s);
Stream new_stream(Device d);
Stream to_stream(StreamOrDevice s);
// Waits for everything that async_eval started. Throws the first error met.
void synchronize();
void synchronize(Stream s);

std::ostream& operator<<(std::ostream& out, Device d);
std::ostream& operator<<(std::ostream& out, Stream s);

}  // namespace tarn
