// What reaches a terminal: widths, made-safe text, styles, progress lines, Ctrl-C, closed pipes.
#include "cli/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "cli/progress.h"
#include "signals.h"
#include "tarn/error.h"

namespace tarn::cli {
namespace {

using namespace std::chrono_literals;
using std::string;

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width(""), 0);
  EXPECT_EQ(display_width("tarn"), 4);
  EXPECT_EQ(display_width("naïve"), 5);
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width("日本語"), 6);
  EXPECT_EQ(display_width("한국"), 4);
  EXPECT_EQ(display_width("👍🏽"), 2);
  EXPECT_EQ(display_width("👩‍👩‍👧"), 2);
  EXPECT_EQ(display_width("🇫🇷"), 2);
  EXPECT_EQ(display_width("a\xFF"), 2);
}

TEST(CutToWidth, NeverSplitsACharacter) {
  EXPECT_EQ(cut_to_width("tarn", 4), "tarn");
  EXPECT_EQ(cut_to_width("tarns", 4), "tar…");
  EXPECT_EQ(cut_to_width("日本語", 5), "日本…");
  EXPECT_EQ(cut_to_width("日本語", 4), "日…");
  EXPECT_EQ(cut_to_width("日本語", 1), "…");
  EXPECT_EQ(cut_to_width("日本語", 0), "");
}

TEST(SafeText, ShowsControlCharacters) {
  EXPECT_EQ(safe_text("a\tb\nc"), "a\tb\nc");
  EXPECT_EQ(safe_text("\x1b[2Jgone\x1b]0;title\a"), "^[[2Jgone^[]0;title^G");
  EXPECT_EQ(safe_text(string("nul\0.", 5)), "nul^@.");
  EXPECT_EQ(safe_text("\x7F"), "^?");
  EXPECT_EQ(safe_text("csi \u009B31m"), "csi \uFFFD31m");
  EXPECT_EQ(safe_text("x\u202Ey\u202Dz"), "x\uFFFDy\uFFFDz");
  EXPECT_EQ(safe_text("ünïcödé 日本 👩‍👩‍👧"),
            "ünïcödé 日本 👩‍👩‍👧");
}

TEST(SafeText, TurnsCrLfIntoNewlineAndShowsALoneCr) {
  EXPECT_EQ(safe_text("one\r\ntwo"), "one\ntwo");
  EXPECT_EQ(safe_text("over\rwritten"), "over^Mwritten");
  EXPECT_EQ(safe_text("end\r"), "end^M");
  EXPECT_EQ(safe_text("\r\r\n"), "^M\n");
}

TEST(SafeText, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(safe_text("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(safe_text("\xC0\xAF"), "\uFFFD\uFFFD");            // overlong
  EXPECT_EQ(safe_text("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // surrogate
  EXPECT_EQ(safe_text("\xF5\x80"), "\uFFFD\uFFFD");            // past U+10FFFF
  EXPECT_EQ(safe_text("cut \xE6\x97"), "cut \uFFFD");
  EXPECT_EQ(safe_text("\xE6\x97\x1b[m"), "\uFFFD\uFFFD^[[m");
}

// Whatever the pieces, the text is the same, and nothing that a terminal would act on is in it.
TEST(SafeText, DoesNotDependOnWhereTheTextIsSplit) {
  string all = "é\r\n日\x1b[1m\u009B\xE6\x97 👩‍👩‍👧\xF0\x9F\r\r\n\xFFz\xC3";
  string whole = safe_text(all);
  for (size_t i = 0; i <= all.size(); ++i) {
    for (size_t j = i; j <= all.size(); ++j) {
      SafeText safe;
      string out = safe.feed(all.substr(0, i));
      out += safe.feed(all.substr(i, j - i));
      out += safe.feed(all.substr(j));
      out += safe.finish();
      ASSERT_EQ(out, whole) << i << " " << j;
    }
  }
  for (char c : whole) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
}

TEST(SafeText, HoldsBackOnlyAnUnfinishedCharacter) {
  SafeText safe;
  EXPECT_EQ(safe.feed("a\xE6"), "a");
  EXPECT_EQ(safe.feed("\x97"), "");
  EXPECT_EQ(safe.feed("\xA5"), "日");
  EXPECT_EQ(safe.finish(), "");
}

TEST(Terminal, APipeHasNoStyles) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  Terminal pipe_end(ends[1]);
  EXPECT_FALSE(pipe_end.is_terminal());
  EXPECT_FALSE(pipe_end.has_styles());
  EXPECT_EQ(pipe_end.styled(Style::dim, "text"), "text");
  setenv("COLUMNS", "132", 1);
  EXPECT_EQ(pipe_end.columns(), 132);
  setenv("COLUMNS", "-3", 1);
  EXPECT_EQ(pipe_end.columns(), 80);
  unsetenv("COLUMNS");
  close(ends[0]);
  close(ends[1]);
}

TEST(Terminal, NoColorAndDumbTurnStylesOff) {
  int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(grantpt(terminal), 0);
  ASSERT_EQ(unlockpt(terminal), 0);
  setenv("TERM", "xterm", 1);
  unsetenv("NO_COLOR");
  EXPECT_EQ(Terminal(terminal).styled(Style::dim, "x"), "\x1b[2mx\x1b[0m");
  EXPECT_EQ(Terminal(terminal).styled(Style::cyan, "x"), "\x1b[36mx\x1b[0m");
  setenv("NO_COLOR", "1", 1);
  EXPECT_EQ(Terminal(terminal).styled(Style::dim, "x"), "x");
  EXPECT_TRUE(Terminal(terminal).has_controls());
  unsetenv("NO_COLOR");
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(Terminal(terminal).has_styles());
  EXPECT_FALSE(Terminal(terminal).has_controls());
  EXPECT_TRUE(Terminal(terminal).is_terminal());
  close(terminal);
}

TEST(ProgressLine, SaysLabelShareAmountsRateAndTimeLeft) {
  ProgressState s{.label = "Loading", .done = 41'300'000, .total = 98'362'432, .rate = 12.1e6};
  EXPECT_EQ(progress_line(s, 200, false), "Loading   41%  41.3 MB / 98.4 MB  12.1 MB/s  0:05 left");
  EXPECT_EQ(progress_line(s, 64, true),
            "Loading  [###...]   41%  41.3 MB / 98.4 MB  12.1 MB/s  0:05 left");
}

TEST(ProgressLine, LeavesOutWhatDoesNotFit) {
  ProgressState s{.label = "Loading", .done = 41'300'000, .total = 98'362'432, .rate = 12.1e6};
  EXPECT_EQ(progress_line(s, 80, true),
            "Loading  [#########.............]   41%  41.3 MB / 98.4 MB  12.1 MB/s  0:05 left");
  EXPECT_EQ(progress_line(s, 45, true), "Loading   41%  41.3 MB / 98.4 MB  12.1 MB/s");
  EXPECT_EQ(progress_line(s, 20, true), "Loading   41%");
  EXPECT_EQ(progress_line(s, 5, true), "Load…");
  EXPECT_EQ(progress_line(s, 0, true), "");
  for (int columns = 1; columns < 200; ++columns) {
    EXPECT_LE(display_width(progress_line(s, columns, true)), columns);
  }
}

TEST(ProgressLine, DoesWithoutATotalOrARate) {
  ProgressState s{.label = "Reading", .done = 1'500};
  EXPECT_EQ(progress_line(s, 80, true), "Reading  1.5 kB");
  s.in_bytes = false;
  EXPECT_EQ(progress_line(s, 80, true), "Reading  1500");
  s.total = 1000;
  s.rate = 2.5;
  EXPECT_EQ(progress_line(s, 60, false), "Reading  100%  1500 / 1000  2.5/s");
  s = {.label = "Training", .done = 1, .total = 8000, .rate = 1, .in_bytes = false};
  EXPECT_EQ(progress_line(s, 80, false), "Training    0%  1 / 8000  1/s  2:13:19 left");
}

// Runs `work` with a clock that it sets, and returns what was written.
template <class Work>
string drawn(bool on_terminal, Work work) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  {
    double now = 100;
    Progress progress({.label = "Work",
                       .total = 1000,
                       .in_bytes = false,
                       .fd = ends[1],
                       .clock = [&now] { return now; },
                       .on_terminal = on_terminal});
    work(progress, now);
  }
  close(ends[1]);
  string out(4096, '\0');
  out.resize(static_cast<size_t>(std::max<ssize_t>(0, read(ends[0], out.data(), out.size()))));
  close(ends[0]);
  return out;
}

TEST(Progress, ShortWorkShowsNothing) {
  for (bool on_terminal : {true, false}) {
    EXPECT_EQ(drawn(on_terminal,
                    [](Progress& p, double& now) {
                      for (; now < 100.9; now += 0.1) p.update(500);
                    }),
              "");
  }
}

TEST(Progress, ABarIsDrawnAndWiped) {
  setenv("COLUMNS", "41", 1);
  EXPECT_EQ(drawn(true,
                  [](Progress& p, double& now) {
                    now = 101;
                    p.update(250);
                    p.update(260);  // too soon for another
                    now = 101.2;
                    p.update(300);
                    p.finish();
                    now = 102;
                    p.update(400);
                  }),
            "\rWork   25%  250 / 1000  250/s  0:03 left\x1b[K"
            "\rWork   30%  300 / 1000  250/s  0:03 left\x1b[K\r\x1b[K");
  unsetenv("COLUMNS");
}

TEST(Progress, APipeGetsALineEveryTenSeconds) {
  EXPECT_EQ(drawn(false,
                  [](Progress& p, double& now) {
                    for (; now < 125; now += 1) p.update(static_cast<uint64_t>((now - 100) * 10));
                  }),
            "Work   10%  100 / 1000  10/s  1:30 left\nWork   20%  200 / 1000  10/s  1:20 left\n");
}

TEST(Progress, UpdatesFromManyThreads) {
  string out = drawn(true, [](Progress& p, double& now) {
    now = 101.5;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&p] {
        for (uint64_t i = 0; i < 1000; ++i) p.update(i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(out.substr(0, 5), "\rWork");
  EXPECT_EQ(out.find("\rWork", 1), string::npos);
}

TEST(Progress, AHostileLabelIsMadeSafe) {
  string out = drawn(false, [](Progress&, double&) {});
  ProgressOptions options{.label = "\x1b[2J", .total = 0, .in_bytes = false, .fd = 2};
  EXPECT_EQ(out, "");
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  double now = 0;
  options.fd = ends[1];
  options.clock = [&now] { return now; };
  {
    Progress progress(options);
    now = 11;
    progress.update(3);
  }
  char text[100] = {};
  ASSERT_GT(read(ends[0], text, sizeof text - 1), 0);
  EXPECT_STREQ(text, "^[[2J  3  0.3/s\n");
  close(ends[0]);
  close(ends[1]);
}

TEST(InterruptScope, CtrlCRequestsAStop) {
  {
    InterruptScope scope;
    std::stop_token token = scope.token();
    EXPECT_FALSE(token.stop_requested());
    EXPECT_FALSE(scope.fired());
    raise(SIGINT);
    EXPECT_TRUE(scope.fired());
    for (int i = 0; i < 500 && !token.stop_requested(); ++i) std::this_thread::sleep_for(10ms);
    EXPECT_TRUE(token.stop_requested());
  }
  InterruptScope next;  // begins anew
  EXPECT_FALSE(next.fired());
  EXPECT_FALSE(next.token().stop_requested());
  try {
    InterruptScope second;
    FAIL() << "two scopes at once";
  } catch (const ValueError& e) {
    EXPECT_STREQ(e.what(), "[interrupt] another scope is handling Ctrl-C already.");
  }
  raise(SIGINT);
  EXPECT_TRUE(next.fired());
}

TEST(InterruptScope, ItsThreadTakesNoSignals) {
  auto before = tarn_test::threads_that_take(SIGTSTP);
  InterruptScope scope;
  EXPECT_EQ(tarn_test::threads_that_take(SIGTSTP), before);
  EXPECT_FALSE(before.empty());
}

TEST(InterruptScope, GivesBackTheHandlerBefore) {
  struct sigaction before {
  }, after{};
  sigaction(SIGINT, nullptr, &before);
  { InterruptScope scope; }
  sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(InterruptScopeDeathTest, TwoPressesWithinASecondExit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        InterruptScope scope;
        raise(SIGINT);
        raise(SIGINT);
      },
      testing::ExitedWithCode(130), "");
}

TEST(InterruptScope, TwoSlowPressesDoNotExit) {
  InterruptScope scope;
  raise(SIGINT);
  std::this_thread::sleep_for(1100ms);
  raise(SIGINT);
  EXPECT_TRUE(scope.fired());
}

TEST(WriteAll, TellsAClosedPipeFromAFullDisk) {
  ignore_sigpipe();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  write_all(ends[1], "text", "standard output");
  char text[5] = {};
  EXPECT_EQ(read(ends[0], text, 4), 4);
  EXPECT_STREQ(text, "text");
  close(ends[0]);
  EXPECT_THROW(write_all(ends[1], "text", "standard output"), OutputClosed);
  close(ends[1]);
  int full = open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  try {
    write_all(full, "text", "standard output");
    FAIL() << "a full disk was written to";
  } catch (const FileError& e) {
    EXPECT_STREQ(e.what(), "[write] standard output: No space left on device.");
  }
  close(full);
}

TEST(WriteAll, WaitsForASlowReader) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK), 0);
  string sent(300'000, 'x');
  std::thread reader([&] {
    string got(sent.size(), '\0');
    for (size_t at = 0; at < got.size();) {
      ssize_t n = read(ends[0], got.data() + at, got.size() - at);
      if (n > 0) at += static_cast<size_t>(n);
      if (n < 0) std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(got, sent);
  });
  write_all(ends[1], sent, "standard output");
  reader.join();
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace tarn::cli
