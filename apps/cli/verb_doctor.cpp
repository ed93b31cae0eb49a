#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/text.h"
#include "model_options.h"
#include "tarn/info.h"
#include "tarn/ops.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

enum class Finding { good, notable, bad };

// The report, line by line; counts what is bad.
class Report {
 public:
  void add(Finding finding, const std::string& what, const std::string& value,
           const std::string& advice = "") {
    constexpr Style styles[] = {Style::green, Style::yellow, Style::red};
    constexpr const char* marks[] = {"ok", "--", "!!"};
    auto at = static_cast<size_t>(finding);
    bad_ += finding == Finding::bad;
    std::string text = fmt::format("{}  {:<12}  {}\n", terminal_.styled(styles[at], marks[at]),
                                   what, safe_text(value));
    if (!advice.empty()) text += fmt::format("{:<18}{}\n", "", safe_text(advice));
    write_all(STDOUT_FILENO, text, "standard output");
  }
  int bad() const { return bad_; }

 private:
  Terminal terminal_{STDOUT_FILENO};
  int bad_ = 0;
};

std::string binary_bytes(uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) value /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", value, unit < 3 || value >= 100 ? 0 : 1, units[unit]);
}

void report_processor(const MachineInfo& machine, Report& report) {
  report.add(Finding::good, "processor", machine.processor);
  bool is_plain = machine.isa == "baseline" || machine.isa == "scalar";
  report.add(
      is_plain ? Finding::notable : Finding::good, "kernels",
      fmt::format("{} (of {})", machine.isa, joined(machine.isas)),
      is_plain ? "Without AVX2 the plainest kernels run: right, but several times slower." : "");
  std::string usable;
  std::map<std::string, std::string> missing;  // why, and what for that reason
  for (const CpuFeatureInfo& f : machine.features) {
    std::string& list = f.usable ? usable : missing[f.why_not];
    list += (list.empty() ? "" : ", ") + f.name;
  }
  report.add(Finding::good, "features", usable.empty() ? "none beyond the baseline" : usable);
  for (const auto& one : missing)
    report.add(Finding::notable, "", fmt::format("not {}: {}", one.second, one.first));
}

void report_threads(const MachineInfo& machine, Report& report) {
  bool is_limited = machine.threads < machine.processors;
  report.add(is_limited ? Finding::notable : Finding::good, "threads",
             fmt::format("{} on {} processors", machine.threads, machine.processors),
             is_limited ? "TARN_NUM_THREADS, the affinity or a quota allows no more." : "");
}

void report_memory(const MachineInfo& machine, Report& report) {
  constexpr uint64_t wanted = uint64_t{512} << 20;  // the default model takes some 300 MiB
  std::string value = fmt::format("{}, {} available", binary_bytes(machine.memory_bytes),
                                  binary_bytes(machine.available_bytes));
  bool is_short = machine.available_bytes > 0 && machine.available_bytes < wanted;
  report.add(is_short ? Finding::bad : Finding::good, "memory", value,
             is_short ? "Less than 512 MiB: end other programs, or the model may not fit." : "");
  std::string caches;
  for (const auto& cache : machine.caches)
    caches +=
        fmt::format("{}{} {}", caches.empty() ? "" : ", ", cache.first, binary_bytes(cache.second));
  if (!caches.empty()) report.add(Finding::good, "caches", caches);
  report.add(Finding::good, "bandwidth",
             fmt::format("{}/s by one thread, {}/s by all", bytes_text(machine.read_bandwidth_1),
                         bytes_text(machine.read_bandwidth_all)));
}

void report_model(Report& report) {
  std::filesystem::path path = lm::default_model_path();
  std::error_code error;
  auto size = std::filesystem::file_size(path, error);
  bool is_folder = std::filesystem::is_directory(path, error);
  if (!std::filesystem::exists(path, error)) {
    report.add(Finding::bad, "model", path.string() + " is not there",
               "`make chat` fetches it; TARN_MODEL or --model names another one.");
  } else if (::access(path.c_str(), R_OK) != 0) {
    report.add(Finding::bad, "model", path.string() + " cannot be read",
               fmt::format("chmod u+r {} allows it.", path.string()));
  } else {
    report.add(Finding::good, "model",
               path.string() + (is_folder ? "" : ", " + bytes_text(static_cast<double>(size))));
  }
}

// Of the nearest folder that exists: a cache may not have been made yet.
uint64_t free_bytes_for(std::filesystem::path folder) {
  std::error_code error;
  while (!folder.empty() && !std::filesystem::exists(folder, error) &&
         folder != folder.parent_path())
    folder = folder.parent_path();
  if (folder.empty()) folder = ".";  // what a relative one stands in
  struct statvfs disk {};
  if (statvfs(folder.c_str(), &disk) != 0) return 0;
  return uint64_t{disk.f_bavail} * disk.f_frsize;
}

void report_disk(Report& report) {
  uint64_t available = free_bytes_for(lm::cache_folder());
  bool is_short = available < (uint64_t{320} << 20);
  report.add(
      is_short ? Finding::notable : Finding::good, "disk",
      fmt::format("{} available for {}", binary_bytes(available), lm::cache_folder().string()),
      is_short ? "Fetching the default model needs 320 MiB; TARN_CACHE moves the cache." : "");
}

void report_hub(Report& report) {
  lm::HubOptions hub;
  try {
    hub = lm::HubClient().options();
  } catch (const std::exception& error) {
    report.add(Finding::bad, "hub", error.what());
    return;
  }
  bool has_token = !hub.token->empty();
  report.add(Finding::good, "hub",
             fmt::format("{}, {}", hub.endpoint,
                         *hub.offline ? "which is not asked: HF_HUB_OFFLINE is set"
                         : has_token  ? "with a token"
                                      : "without a token"));
  uint64_t available = free_bytes_for(hub.cache);
  bool is_short = available < (uint64_t{1} << 30);
  report.add(is_short ? Finding::notable : Finding::good, "hub cache",
             fmt::format("{}, {} available", hub.cache.string(), binary_bytes(available)),
             is_short ? "Less than 1 GiB: HF_HUB_CACHE moves it to another disk." : "");
}

void report_terminal(Report& report) {
  Terminal terminal(STDOUT_FILENO);
  report.add(Finding::good, "terminal",
             terminal.is_terminal() ? fmt::format("{} columns, {}", terminal.columns(),
                                                  terminal.has_styles() ? "with styles" : "plain")
                                    : "standard output is not one");
}

// One product whose numbers are known: 64 x 96 ones times 96 x 32 twos is all 192.
void report_self_test(const std::string& lowest, Report& report) {
  array product = matmul(ones({64, 96}), full({96, 32}, 2.0f));
  bool is_right = all(equal(product, array(192.0f))).item<bool>();
  report.add(
      is_right ? Finding::good : Finding::bad, "self-test",
      is_right ? "a matrix product came out right" : "a matrix product came out wrong",
      is_right
          ? ""
          : fmt::format("Please report this with the lines above; TARN_ISA={} may help.", lowest));
}

}  // namespace

int doctor(const Words& words) {
  Arguments arguments("tarn doctor", "What the program found here. Ends with 1 if a !! was found.");
  if (!parse_or_help(arguments, words)) return 0;
  Report report;
  MachineInfo machine = machine_info();
  measure_bandwidth(machine);
  report_processor(machine, report);
  report_threads(machine, report);
  report_memory(machine, report);
  report_model(report);
  report_disk(report);
  report_hub(report);
  report_terminal(report);
  report_self_test(machine.isas.front(), report);
  return report.bad() > 0 ? 1 : 0;
}

}  // namespace tarn::cli
