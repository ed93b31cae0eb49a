// One call of HubClient, told by options and reported as a line of JSON: hub_driver VERB
// [NAME=VALUE…]
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <thread>

#include "base/json.h"
#include "tarn/lm/hub.h"
#include "tarn/lm/model_registry.h"

namespace {

using tarn::OrderedJson;
using namespace tarn::lm;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::map<std::string, std::string> given;

int number(const std::string& name, int otherwise) {
  auto it = given.find(name);
  return it == given.end() ? otherwise : std::stoi(it->second);
}

std::string text(const std::string& name) {
  auto it = given.find(name);
  return it == given.end() ? "" : it->second;
}

HubOptions hub_options() {
  HubOptions o;
  o.endpoint = text("endpoint");
  o.cache = text("cache");
  if (given.count("token")) o.token = text("token");
  if (given.count("offline")) o.offline = number("offline", 0) != 0;
  o.parallelism = number("parallelism", 4);
  o.retries = number("retries", 3);
  o.retry_delay = milliseconds(number("delay", 1));
  o.stall_timeout = milliseconds(number("stall", 5000));
  o.connect_timeout = milliseconds(number("connect", 5000));
  return o;
}

OrderedJson describe(const Availability& a) {
  constexpr const char* states[] = {"available", "downloading", "unavailable"};
  return {{"state", states[static_cast<int>(a.state)]},
          {"path", a.path.string()},
          {"done", a.progress.bytes_done},
          {"total", a.progress.bytes_total},
          {"message", a.message},
          {"can_retry", a.can_retry}};
}

// Requests a stop after some time, at once where that is none, and remembers when.
struct Stopper {
  std::stop_source source{};
  Clock::time_point requested{};
  std::jthread thread{};
  void now() {
    requested = Clock::now();
    source.request_stop();
  }
  void after(int ms) {
    if (ms == 0) return now();
    thread = std::jthread([this, ms](std::stop_token done) {
      auto end = Clock::now() + milliseconds(ms);
      while (Clock::now() < end && !done.stop_requested())
        std::this_thread::sleep_for(milliseconds(1));
      now();
    });
  }
};

OrderedJson pull(const HubClient& client, const ModelConfiguration& model) {
  Stopper stopper;
  OrderedJson calls = OrderedJson::array();
  FetchOptions fetch;
  fetch.use_latest = number("latest", 1) != 0;
  fetch.stop = stopper.source.get_token();
  fetch.progress = [&](const DownloadProgress& p) {
    calls.push_back({p.bytes_done, p.bytes_total, p.bytes_at_start, p.files_done, p.files_total});
    if (given.count("throw")) throw std::runtime_error("the callback failed");
  };
  if (given.count("stop")) stopper.after(number("stop", 0));
  try {
    std::string path = client.fetch(model, fetch).string();
    return {{"path", path}, {"progress", calls}};
  } catch (const tarn::Cancelled& error) {
    double ms = std::chrono::duration<double, std::milli>(Clock::now() - stopper.requested).count();
    return {{"cancelled", error.what()}, {"ms", ms}};
  }
}

OrderedJson handle(const HubClient& client, const ModelConfiguration& model) {
  OrderedJson states = OrderedJson::array();
  Download download = client.start(model);
  Download copy = download;
  if (given.count("cancel")) {
    std::this_thread::sleep_for(milliseconds(number("cancel", 0)));
    states.push_back(describe(copy.state()));
    copy.cancel();
  }
  states.push_back(describe(download.wait()));
  for (int i = number("retry", 0); i > 0; --i) {
    copy.retry();
    states.push_back(describe(download.wait()));
  }
  return states;
}

OrderedJson run(const std::string& verb) {
  HubClient client(hub_options());
  ModelConfiguration model;
  if (given.count("registry")) {
    model = ModelRegistry::read(text("registry")).configuration(text("model"));
  } else {
    model = ModelConfiguration::parse(text("model"));
  }
  if (verb == "pull") return pull(client, model);
  if (verb == "handle") return handle(client, model);
  if (verb == "drop") {
    client.start(model);
    return {{"dropped", true}};
  }
  if (verb == "availability") return describe(client.availability(model));
  if (verb == "snapshot")
    return {{"path", client.snapshot(model.id, model.revision, {text("pattern")}).string()}};
  if (verb == "pin") {
    ModelRegistry registry;
    registry.add(text("name"), client.pin(model));
    registry.write(text("to"));
    return {{"names", registry.names()}};
  }
  return {{"error", "no such verb"}};
}

}  // namespace

int main(int argc, char** argv) {
  OrderedJson out;
  try {
    for (int i = 2; i < argc; ++i) {
      std::string word = argv[i];
      size_t at = word.find('=');
      given[word.substr(0, at)] = word.substr(at + 1);
    }
    out = run(argc > 1 ? argv[1] : "");
  } catch (const HubError& error) {
    out = {{"error", error.what()}, {"can_retry", error.can_retry()}};
  } catch (const std::exception& error) {
    out = {{"error", error.what()}};
  }
  std::cout << out.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) << "\n";
}
