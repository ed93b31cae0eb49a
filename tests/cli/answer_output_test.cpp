// How an answer and the thoughts before it are written.
#include "cli/answer_output.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include "cli/conversation.h"
#include "lm/tiny_model.h"

namespace tarn_test {
namespace {

using tarn::cli::AnswerOutput;

struct Piece {
  std::string text{};
  bool is_thought = false;
};
const std::vector<Piece> thoughtful{
    {"Let me ", true}, {"see.", true}, {"\n", false}, {"\nFour", false}, {" it is.", false}};

std::string read_all(int fd) {
  std::string all;
  char room[256];
  for (pollfd one{fd, POLLIN, 0}; poll(&one, 1, 50) == 1;) {
    ssize_t n = read(fd, room, sizeof room);
    if (n <= 0) break;
    all.append(room, static_cast<size_t>(n));
  }
  return all;
}

void write_pieces(int fd, const std::vector<Piece>& pieces) {
  AnswerOutput output(fd);
  for (const Piece& piece : pieces) output.write(piece.text, piece.is_thought);
  output.finish();
}

std::string on_a_terminal(const std::vector<Piece>& pieces) {
  int mine = -1, its = -1;
  EXPECT_EQ(openpty(&mine, &its, nullptr, nullptr, nullptr), 0);
  write_pieces(its, pieces);
  std::string all = read_all(mine);
  close(mine), close(its);
  return all;
}

TEST(AnswerOutput, ThoughtsAreDimmedBeforeTheAnswer) {
  setenv("TERM", "xterm", 1);
  unsetenv("NO_COLOR");
  EXPECT_EQ(on_a_terminal(thoughtful),
            "\x1b[2mLet me \x1b[0m\x1b[2msee.\x1b[0m\r\n\r\nFour it is.\r\n");
  EXPECT_EQ(on_a_terminal({{"Four.", false}}), "Four.\r\n");
  EXPECT_EQ(on_a_terminal({{"Hm", true}}), "\x1b[2mHm\x1b[0m\r\n");
  setenv("NO_COLOR", "1", 1);
  EXPECT_EQ(on_a_terminal(thoughtful), "Let me see.\r\n\r\nFour it is.\r\n");
  unsetenv("NO_COLOR");
}

TEST(AnswerOutput, APipeGetsTheAnswerAlone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  write_pieces(ends[1], thoughtful);
  close(ends[1]);
  EXPECT_EQ(read_all(ends[0]), "Four it is.\n");
  close(ends[0]);
}

class Thinker : public TinyModel {};

TEST_F(Thinker, ThoughtsOfAConversationAreTold) {
  fs::path path = write_tiny_model(folder_ / "thinker");
  std::ofstream(path / "chat_template.jinja")
      << "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}<end>"
         "{% endfor %}<|assistant|><think>";
  tarn::cli::Conversation conversation(load(path), {.max_tokens = 12});
  std::string thoughts, answer;
  conversation.ask("hi", {}, [&](std::string_view piece, bool is_thought) {
    (is_thought ? thoughts : answer) += piece;
  });
  EXPECT_FALSE(thoughts.empty());
  EXPECT_EQ(answer, "");
}

}  // namespace
}  // namespace tarn_test
