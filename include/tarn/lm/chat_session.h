// A conversation with a model: its messages, what the model remembers of them, and its answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "tarn/lm/container.h"

namespace tarn::lm {

// What to do when a conversation no longer fits the model's context.
struct Overflow {
  enum class Policy : uint8_t {
    error,           // ValueError with both numbers
    drop_oldest,     // the oldest turns are no longer shown to the model; messages() keeps them
    sliding_window,  // the model remembers the first `sinks` tokens and the latest of the others
  };
  Policy policy = Policy::error;
  int room = 256;  // drop_oldest: tokens kept free for the answer, at most half of the context
  int window = 0;  // sliding_window: tokens remembered in all; 0: the model's context
  int sinks = 4;
};

// Answers a call of the model; what it returns is told to the model. An exception's message is as
// well, as an error.
using ToolDispatch = std::function<std::string(const ToolCall& call)>;

// All of it may be changed between two answers.
struct ChatSessionOptions {
  // What the model is told before everything else. It stands in front of the messages in each
  // prompt and is not one of them.
  std::string instructions{};
  GenerateParameters parameters{};
  std::vector<ToolSpec> tools{};
  // With it, the session runs the calls and goes on until there are none; without it, calls are
  // events, and the caller goes on with stream({{.role = "tool", …}}).
  ToolDispatch tool_dispatch{};
  int most_tool_rounds = 8;          // more in a row is a ValueError
  std::string additional_context{};  // see UserInput
  Overflow overflow{};
};

// One answer at a time; different sessions of one container may answer at once. Each prompt is the
// whole conversation, of which only what is new is computed: GenerationInfo::cached_tokens says how
// much was not. After the container published another model everything is computed again.
class ChatSession {
 public:
  explicit ChatSession(ModelContainer container, ChatSessionOptions options = {},
                       std::vector<Message> history = {});
  ChatSession(ChatSession&&) noexcept;
  ChatSession& operator=(ChatSession&&) noexcept;
  ~ChatSession();
  // Another session that goes on from here; what was computed is shared.
  ChatSession fork() const;

  ChatSessionOptions& options();
  const ChatSessionOptions& options() const;
  const ModelContainer& container() const;
  const std::vector<Message>& messages() const;  // instructions are not among them
  // Tokens that the model remembers now.
  size_t remembered_tokens() const;
  // Messages that drop_oldest no longer shows to the model.
  size_t dropped_messages() const;
  void clear();

  // The answer as it comes: chunks, calls, and the statistics of all rounds together. It joins the
  // messages when the range ends. One that is stopped or whose range is dropped early is kept as
  // far as it came; if nothing came, or it fails, the conversation is as before the question. The
  // range may outlive the session. Throws ValueError while another answer is being made.
  Generation stream(std::string message);
  Generation stream(std::vector<Message> messages);
  // The whole answer. A call that cannot be read is a ValueError here.
  std::string respond(std::string message);
  std::string respond(std::vector<Message> messages);
  // The same on a thread of its own.
  std::future<std::string> respond_async(std::string message);

  // Transcript, instructions, token ledger and cache in one safetensors file, which mlx-lm reads as
  // a prompt cache. Written whole or not at all.
  void save(const std::filesystem::path& file) const;
  // Replaces messages, instructions and memory by the file's. Which adapters on request the model
  // has does not matter; what was computed with one that it lacks is computed again. Throws
  // FileError for a file of another model, or a damaged one; the session is as before then.
  void restore(const std::filesystem::path& file);

  struct Impl;

 private:
  explicit ChatSession(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace tarn::lm
