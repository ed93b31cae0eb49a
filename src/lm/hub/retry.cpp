#include "lm/hub/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <ctime>
#include <mutex>

#include "lm/hub/names.h"
#include "lm/hub/url.h"

namespace tarn::lm::hub {
namespace {

constexpr double longest_delay_s = 30;
constexpr double longest_asked_wait_s = 120;  // what a server may ask for; beyond that a person
                                              // should know
constexpr uint64_t real_progress = 1 << 20;   // bytes after which failures are counted anew

void wait(double seconds, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any condition;
  std::unique_lock lock(mutex);
  condition.wait_for(lock, stop, std::chrono::duration<double>(seconds), [] { return false; });
  require<Cancelled>(!stop.stop_requested(), "[hub] stopped on request.");
}

std::string_view advice_for(const Failure& failure) {
  if (!failure.advice.empty()) return failure.advice;
  switch (failure.reason) {
    case HubReason::network:
      return "What has come is kept; try again to go on from there.";
    case HubReason::content:
      return "Try again; if it stays so, the hub or something before it changes what it sends.";
    default:
      return "Try again later.";
  }
}

[[noreturn]] void give_up(const Attempts& a, const Failure& failure, int tries) {
  std::string count = tries > 1 ? fmt::format(" (tried {} times)", tries) : "";
  refuse(failure.reason, "[hub] {}: {}{}. {}", a.subject, failure.text, count, advice_for(failure));
}

// Seconds from a Retry-After: a number, or a date.
double retry_after(const std::string& text) {
  double seconds = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size()) return std::max(seconds, 0.0);
  time_t at = text.empty() ? -1 : curl_getdate(text.c_str(), nullptr);
  return at < 0 ? -1 : std::max(0.0, std::difftime(at, std::time(nullptr)));
}

Failure refused(long status, const std::string& said, bool has_token) {
  if (status == 403)
    return {HubReason::not_allowed, fmt::format("access is restricted (403{})", said), false,
            has_token ? "Ask for access on the model's page, with the account of your token."
                      : "Ask for access on the model's page and set HF_TOKEN."};
  if (has_token)
    return {HubReason::not_allowed, fmt::format("the hub does not accept the token (401{})", said),
            false, "Set HF_TOKEN to one that is valid for it, or check the name."};
  return {HubReason::not_allowed, fmt::format("the hub wants a token (401{})", said), false,
          "There is no such model, or it is private: check the name, or set HF_TOKEN."};
}

Failure not_found(const HttpResponse& r, const std::string& said, std::string_view what) {
  std::string text = fmt::format("the hub has no such {} (404{})", what, said);
  if (what == "file")
    return {HubReason::content, text, false,
            "It was listed a moment ago: the model is being changed. Try again."};
  if (r.header("x-error-code") == "RevisionNotFound")
    return {HubReason::not_found, "the hub has no such revision (404)", false,
            "Check the name of the branch, tag or commit."};
  return {HubReason::not_found, text, false, "Check the name; a private one needs HF_TOKEN."};
}

}  // namespace

void try_again(const HubOptions& options, const std::stop_token& stop, const Attempts& a) {
  double delay = static_cast<double>(options.retry_delay.count()) / 1000;
  uint64_t before = 0;
  for (int failures = 1, tries = 1;; ++failures, ++tries) {
    try {
      return a.attempt();
    } catch (const Failure& failure) {
      uint64_t now = a.received ? a.received() : 0;
      if (now >= before + real_progress) failures = 1;
      before = std::max(before, now);
      if (!failure.may_pass || failures > options.retries) give_up(a, failure, tries);
      if (failure.retry_after > longest_asked_wait_s) give_up(a, failure, tries);
      double doubled = std::min(delay * static_cast<double>(1ULL << std::min(failures - 1, 20)),
                                longest_delay_s);
      double seconds = failure.retry_after >= 0 ? failure.retry_after : doubled;
      if (options.on_retry && !a.received)
        options.on_retry(fmt::format("[hub] {}: {}", a.subject, failure.text), seconds);
      wait(seconds, stop);
    }
  }
}

Failure failure_of_status(const HttpResponse& r, const HubOptions& options, std::string_view what) {
  Url from = parse_url(r.url);
  if (from.origin() != parse_url(options.endpoint).origin())
    // Where the hub keeps large files. An address that has expired is a new one the next time.
    return {HubReason::server, fmt::format("{} answers with status {}", from.host, r.status), true,
            "Try again later.", retry_after(r.header("retry-after"))};
  std::string said = r.header("x-error-message");
  if (!said.empty()) said = fmt::format("; it says \"{}\"", printable(said));
  bool has_token = !options.token->empty();
  switch (r.status) {
    case 401:
    case 403:
      return refused(r.status, said, has_token);
    case 404:
      return not_found(r, said, what);
    case 429: {
      double seconds = retry_after(r.header("retry-after"));
      std::string wait = seconds < 0 ? "" : fmt::format(" and to wait {:.0f} s", seconds);
      return {HubReason::server, fmt::format("the hub asks for fewer requests (429){}", wait), true,
              has_token ? "Try again later." : "Try again later, or with HF_TOKEN.", seconds};
    }
    default: {
      bool may_pass = r.status == 408 || r.status >= 500;
      return {HubReason::server, fmt::format("the hub answers with status {}{}", r.status, said),
              may_pass, "Try again later.", retry_after(r.header("retry-after"))};
    }
  }
}

}  // namespace tarn::lm::hub
