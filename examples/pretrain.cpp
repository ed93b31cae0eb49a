// A small GPT from scratch, on bytes:
//   pretrain FOLDER [--steps N | --seconds S] [--held-out NAME]... [--seed N]
// trains on the .txt files of a folder (without the .txt files held out, by which it is judged) and
// prints the validation loss in bits a byte of raw text. A time becomes a number of steps after 20
// steps; --steps with that number then gives the same numbers to the last bit, at any number of
// threads. Without arguments it learns a made-up text.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <set>
#include <string>

#include <tarn/tarn.h>

using namespace tarn;
namespace fs = std::filesystem;

constexpr int batch = 16, warmup = 20;
constexpr float top_rate = 2e-3f;
int hidden = 256, heads = 4, layers = 4, context = 192;

struct Block {
  random::KeySequence keys;
  nn::RMSNorm before_attention = nn::RMSNorm::init(hidden);
  nn::Linear qkv = nn::Linear::init(hidden, 3 * hidden, keys.next(), false);
  nn::Linear out = nn::Linear::init(hidden, hidden, keys.next(), false);
  nn::RMSNorm before_mlp = nn::RMSNorm::init(hidden);
  nn::Linear up = nn::Linear::init(hidden, 4 * hidden, keys.next(), false);
  nn::Linear down = nn::Linear::init(4 * hidden, hidden, keys.next(), false);
  TARN_FIELDS(before_attention, qkv, out, before_mlp, up, down)

  array operator()(const array& x) const {
    Shape by_head{x.shape(0), x.shape(1), heads, hidden / heads};
    auto parts = split(qkv(before_attention(x)), 3, -1);
    for (array& p : parts) p = transpose(reshape(p, by_head), {0, 2, 1, 3});
    auto turned = [](const array& p) {
      return fast::rope(p, hidden / heads, false, 10000.0f, 1.0f, 0);
    };
    array seen = fast::scaled_dot_product_attention(turned(parts[0]), turned(parts[1]), parts[2],
                                                    1 / std::sqrt(float(hidden) / heads), "causal");
    array h = x + out(reshape(transpose(seen, {0, 2, 1, 3}), x.shape()));
    return h + down(square(nn::relu(up(before_mlp(h)))));
  }
};

struct Gpt {
  uint64_t seed = 0;
  nn::Embedding bytes = nn::Embedding::init(256, hidden, random::key(seed));
  std::vector<Block> blocks = [this] {
    std::vector<Block> all;
    for (uint64_t i = 0; i < static_cast<uint64_t>(layers); ++i)
      all.push_back({random::KeySequence(seed * 100 + i + 1)});
    return all;
  }();
  nn::RMSNorm norm = nn::RMSNorm::init(hidden);
  nn::Linear head = nn::Linear::init(hidden, 256, random::key(seed + 99), false);
  TARN_FIELDS(bytes, blocks, norm, head)

  // Nats a byte of text (rows, context + 1).
  array loss(const array& text) const {
    int64_t rows = text.shape(0), n = text.shape(1);
    array h = bytes(slice(text, {0, 0}, {rows, n - 1}));
    for (const Block& block : blocks) h = block(h);
    return mean(fast::cross_entropy(head(norm(h)), slice(text, {0, 1}, {rows, n})));
  }
};

// Rows of context + 1 bytes from these places on.
array rows_at(const std::string& text, const std::vector<size_t>& places) {
  std::vector<int32_t> ids;
  for (size_t p : places)
    for (size_t i = p; i <= p + static_cast<size_t>(context); ++i)
      ids.push_back(static_cast<unsigned char>(text[i]));
  return array(ids.begin(), {static_cast<int64_t>(places.size()), context + 1}, int32);
}

struct Options {
  std::string folder{}, train{}, valid{};
  int64_t steps = 0;
  double seconds = 60;
  uint64_t seed = 0;
  std::set<std::string> held_out{};
};

void read_texts(Options& o) {
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(o.folder))
    if (entry.path().extension() == ".txt") files.insert(entry.path());
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    (o.held_out.count(file.filename().string()) ? o.valid : o.train) += text;
  }
}

void make_up_text(Options& o) {
  std::mt19937 random(1);
  for (int i = 0; i < 8000; ++i) {
    unsigned a = random() % 50, b = random() % 50;
    (i % 8 ? o.train : o.valid) +=
        std::to_string(a) + " and " + std::to_string(b) + " are " + std::to_string(a + b) + ".\n";
  }
}

// All bytes of the text but the last few, each predicted once.
double bits_per_byte(const Gpt& model, const std::string& text) {
  auto loss = compile([](const Gpt& m, const array& rows) { return m.loss(rows); });
  double sum = 0, rows = 0;
  auto width = static_cast<size_t>(context);
  for (size_t at = 0; at + width < text.size();) {
    std::vector<size_t> places;
    for (; places.size() < batch && at + width < text.size(); at += width) places.push_back(at);
    auto count = static_cast<double>(places.size());
    sum += double{loss(model, rows_at(text, places)).item<float>()} * count, rows += count;
  }
  return sum / rows / std::log(2.0);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Gpt train(Options& o) {
  Gpt model{o.seed};
  optim::AdamW adam{.learning_rate = 0.0, .betas = {0.9, 0.95}, .weight_decay = 0.1};
  optim::State state = adam.init(model);
  auto step = compile([&](const Gpt& m, const optim::State& s, const array& rows) {
    auto [loss, gradient] =
        nn::value_and_grad([&](const Gpt& current) { return current.loss(rows); }, m);
    std::tuple next(loss, m, s);
    adam.update(std::get<1>(next), optim::clip_grad_norm(gradient, 1.0).first, std::get<2>(next));
    return next;
  });
  std::mt19937_64 random(o.seed);
  array loss;
  double start = now();
  for (int64_t i = 0; i < std::max<int64_t>(o.steps, warmup); ++i) {
    if (i == warmup && o.steps == 0)
      o.steps =
          std::max<int64_t>(static_cast<int64_t>(o.seconds / (now() - start) * warmup), warmup);
    double rest = static_cast<double>(i - warmup) / static_cast<double>(o.steps - warmup);
    float rate = i < warmup ? static_cast<float>(i + 1) / warmup
                            : static_cast<float>(0.55 + 0.45 * std::cos(M_PI * rest));
    state["learning_rate"] = array(top_rate * rate);
    std::vector<size_t> places;
    for (int r = 0; r < batch; ++r)
      places.push_back(random() % (o.train.size() - static_cast<size_t>(context) - 1));
    std::tie(loss, model, state) = step(model, state, rows_at(o.train, places));
    eval(loss, model, state);
    if (!o.folder.empty() && (i + 1) % 100 == 0)
      std::cerr << "step " << i + 1 << "  loss " << loss.item<float>() << "  " << now() - start
                << " s\n";
  }
  return model;
}

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    if (!word.starts_with("--")) {
      o.folder = word;
      continue;
    }
    if (word == "--steps") o.steps = std::stoll(next);
    if (word == "--seconds") o.seconds = std::stod(next);
    if (word == "--seed") o.seed = std::stoull(next);
    if (word == "--held-out") o.held_out.insert(next);
    ++i;
  }
  if (o.folder.empty()) {
    hidden = 64, heads = layers = 2, context = 64;
    make_up_text(o);
    if (o.steps == 0) o.steps = 100;
  } else {
    read_texts(o);
  }
  auto least = static_cast<size_t>(context) + 2;
  if (o.train.size() < least || o.valid.size() < least) {
    std::cerr << "Give a folder of .txt files, and some of their names with --held-out.\n";
    return 2;
  }
  Gpt model = train(o);
  double bits = bits_per_byte(model, o.valid);
  if (!o.folder.empty()) {
    std::cout << o.steps << " steps, " << bits << " bits a byte\n";
    return 0;
  }
  std::cout << nn::parameter_count(model) << " parameters, " << o.steps << " steps\n"
            << "below 3 bits a byte: " << (bits < 3 ? "yes" : "no") << "\n";
}

// Output:
//   131392 parameters, 100 steps
//   below 3 bits a byte: yes
