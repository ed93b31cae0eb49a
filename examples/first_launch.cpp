// The first launch of an app: its model is downloaded while the app shows how far it is, and tries
// again when the network fails. The next launch finds it in the cache and needs no network.
// Needs a hub.
#include <chrono>
#include <iostream>
#include <thread>

#include <tarn/lm.h>

using namespace tarn::lm;

// What an app would draw; called many times a second.
std::string status_line(const Availability& now) {
  const DownloadProgress& p = now.progress;
  if (now.state == Availability::State::available) return "ready";
  if (now.state == Availability::State::unavailable) return now.message;
  if (p.bytes_total == 0) return "looking for the model";
  std::string share = std::to_string(100 * p.bytes_done / p.bytes_total) + " %";
  if (p.seconds_left < 0) return share;
  return share + ", " + std::to_string(static_cast<int>(p.seconds_left)) + " s left";
}

int main() {
  // One file at a time and no retries of its own, so that this program says the same each time.
  HubClient client(HubOptions{.parallelism = 1, .retries = 0});
  ModelConfiguration model{.id = "org/tiny"};
  std::cout << "at first available: " << (client.availability(model).path.empty() ? "no" : "yes")
            << "\n";

  Download download = client.start(model);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    while (download.state().state == Availability::State::downloading) {
      std::cerr << "\r" << status_line(download.state()) << "   ";
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    Availability now = download.wait();
    if (now.state == Availability::State::available) break;
    std::cout << "attempt " << attempt << " failed with " << now.progress.bytes_done << " bytes of "
              << now.progress.bytes_total << (now.can_retry ? ", trying again" : "") << "\n";
    if (!now.can_retry) return 1;
    download.retry();
  }

  LanguageModel lm = load(download.wait().path);
  GenerateParameters parameters{.max_tokens = 8, .temperature = 0};
  int tokens = 0;
  for (const Event& event : generate(lm, lm.tokenizer.encode("abc"), parameters))
    tokens += static_cast<int>(event.ids.size());
  std::cout << "answered: " << (tokens > 0 ? "yes" : "no") << "\n";
}

// Output:
//   at first available: no
//   attempt 1 failed with 100000 bytes of 303125, trying again
//   answered: yes
