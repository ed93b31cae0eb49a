// A small GPT from scratch, on bytes:
//   pretrain FOLDER [--seconds S | --cpu-seconds S | --steps N] [--NAME VALUE]...
// trains on the .txt files of FOLDER and tells how well it predicts those of FOLDER/held-out, in
// bits a byte of raw text; tools/shakespeare_texts.py makes such a folder. The options are those of
// struct Options. A time becomes a number of steps after 20 of them, which is said; --steps with
// that number gives the same numbers to the last bit on one instruction set, at any number of
// threads. The last line is a JSON object, which `tarn research` reads. Without a folder it learns
// a made-up text.
#include <cmath>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>

#include <tarn/info.h>
#include <tarn/tarn.h>

using namespace tarn;
namespace fs = std::filesystem;

constexpr int64_t warmup = 20;

struct Options {
  std::string folder{};
  int64_t steps = 0, seconds = 0, cpu_seconds = 0, seed = 0;
  int64_t width = 256, depth = 4, heads = 4;
  int64_t endings = 3;  // tables of the last 2, 3, … bytes, beside that of the last one
  int64_t context = 128, batch = 8;
  int64_t judge = 0;  // bytes of the held-out text; 0: all
  std::string optimizer = "adamw", schedule = "linear", save{};
  double rate = 3e-3, matrix_rate = 0.02, decay = 0.1;

  std::map<std::string, int64_t*> counts() {
    return {{"steps", &steps}, {"seconds", &seconds}, {"cpu-seconds", &cpu_seconds},
            {"seed", &seed},   {"width", &width},     {"depth", &depth},
            {"heads", &heads}, {"endings", &endings}, {"context", &context},
            {"batch", &batch}, {"judge", &judge}};
  }
  std::map<std::string, double*> numbers() {
    return {{"rate", &rate}, {"matrix-rate", &matrix_rate}, {"decay", &decay}};
  }
  std::map<std::string, std::string*> words() {
    return {{"optimizer", &optimizer}, {"schedule", &schedule}, {"save", &save}};
  }
  int64_t tokens() const { return steps * batch * context; }
};

// Products are computed in bfloat16 where the processor multiplies it faster; weights, and what
// goes from layer to layer, are float32.
array times(const array& x, const nn::Linear& m) {
  static const Dtype type = machine_info().isa == "amx" ? bfloat16 : float32;
  return matmul(astype(x, type), transpose(astype(m.weight, type)));
}

nn::Linear zeroed(nn::Linear m) {
  m.weight = zeros_like(m.weight);
  return m;
}

struct Block {
  int width = 8, heads = 1;
  random::KeySequence keys;
  nn::RMSNorm before_attention = nn::RMSNorm::init(width), before_mlp = before_attention;
  nn::Linear qkv = nn::Linear::init(width, 3 * width, keys.next(), false);
  nn::Linear out = zeroed(nn::Linear::init(width, width, keys.next(), false));
  nn::Linear up = nn::Linear::init(width, 4 * width, keys.next(), false);
  nn::Linear down = zeroed(nn::Linear::init(4 * width, width, keys.next(), false));
  TARN_FIELDS(before_attention, before_mlp, qkv, out, up, down)

  array operator()(const array& x) const {
    int size = width / heads;
    auto parts = split(times(before_attention(x), qkv), 3, -1);
    for (array& p : parts)
      p = transpose(reshape(p, {x.shape(0), x.shape(1), heads, size}), {0, 2, 1, 3});
    auto turned = [&](const array& p) {
      return fast::rope(fast::rms_norm(p, std::nullopt, 1e-5f), size, false, 10000.0f, 1.0f, 0);
    };
    array seen = fast::scaled_dot_product_attention(turned(parts[0]), turned(parts[1]), parts[2],
                                                    1 / std::sqrt(float(size)), "causal");
    array h = x + astype(times(reshape(transpose(seen, {0, 2, 1, 3}), x.shape()), out), float32);
    return h + astype(times(square(nn::relu(times(before_mlp(h), up))), down), float32);
  }
};

struct Gpt {
  int width = 8, heads = 1, depth = 1, tables = 0;
  uint64_t seed = 0;
  nn::Embedding bytes = nn::Embedding::init(256, width, random::key(seed));
  std::vector<nn::Embedding> endings = std::vector<nn::Embedding>(
      static_cast<size_t>(tables), nn::Embedding{{zeros({1 << 13, width})}});
  std::vector<Block> blocks = [this] {
    std::vector<Block> all;
    for (int i = 0; i < depth; ++i)
      all.push_back({width, heads, random::KeySequence(seed * 100 + static_cast<uint64_t>(i) + 1)});
    return all;
  }();
  nn::RMSNorm norm = nn::RMSNorm::init(width);
  nn::Linear head = nn::Linear::init(width, 256, random::key(seed + 99), false);
  TARN_FIELDS(bytes, endings, blocks, norm, head)

  // Each table's row is a hash of so many bytes: what they say of the next one is learned within
  // few steps, as counting them would.
  array embedded(const array& ids) const {
    array h = bytes(ids), code = astype(ids, uint32), before = code;
    for (const nn::Embedding& table : endings) {
      before = slice(pad(before, {{0, 0}, {1, 0}}), {0, 0}, ids.shape());
      code = code * array(16777619u) + before;
      h = h + table(right_shift(code * array(2654435761u), array(32u - 13u)));
    }
    return h;
  }
  // Nats a byte of text (rows, context + 1).
  array loss(const array& text) const {
    int64_t rows = text.shape(0), n = text.shape(1);
    array h = embedded(slice(text, {0, 0}, {rows, n - 1}));
    for (const Block& block : blocks) h = block(h);
    array logits = astype(times(norm(h), head), float32);
    return mean(fast::cross_entropy(logits, slice(text, {0, 1}, {rows, n})));
  }
};

// Rows of context + 1 bytes from these places on.
array rows_at(const std::string& text, const std::vector<size_t>& places, int64_t context) {
  std::vector<int32_t> ids;
  for (size_t p : places)
    for (size_t i = p; i <= p + static_cast<size_t>(context); ++i)
      ids.push_back(static_cast<unsigned char>(text[i]));
  return array(ids.begin(), {static_cast<int64_t>(places.size()), context + 1}, int32);
}

// The .txt files of a folder, in the order of their names.
std::string texts_of(const fs::path& folder) {
  std::set<fs::path> files;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".txt") files.insert(entry.path());
  std::string all;
  for (const fs::path& file : files) {
    std::ifstream in(file, std::ios::binary);
    all.append(std::istreambuf_iterator<char>(in), {});
  }
  return all;
}

std::string made_up(unsigned seed, int lines) {
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < lines; ++i) {
    unsigned a = random() % 50, b = random() % 50;
    text += std::to_string(a) + " and " + std::to_string(b) + " are " + std::to_string(a + b);
    text += ".\n";
  }
  return text;
}

// Nats a byte: all of the text but the last few, each predicted once.
double loss_on(const std::string& text, const Gpt& model, const Options& o) {
  auto loss = compile([](const Gpt& m, const array& rows) { return m.loss(rows); });
  double sum = 0, rows = 0;
  auto width = static_cast<size_t>(o.context);
  for (size_t at = 0; at + width < text.size();) {
    std::vector<size_t> places;
    for (; places.size() < 16 && at + width < text.size(); at += width) places.push_back(at);
    auto count = static_cast<double>(places.size());
    sum += double{loss(model, rows_at(text, places, o.context)).item<float>()} * count;
    rows += count;
  }
  return sum / rows;
}

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Clocks {
  double start = seconds_of(CLOCK_MONOTONIC), cpu_start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  double wall() const { return seconds_of(CLOCK_MONOTONIC) - start; }
  double cpu() const { return seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_start; }
};

// What a rate is multiplied by in step i: up within 20 steps, then down to a tenth.
double course(const Options& o, int64_t i) {
  if (i < warmup) return static_cast<double>(i + 1) / warmup;
  double done =
      static_cast<double>(i - warmup) / static_cast<double>(std::max(o.steps - warmup, int64_t{1}));
  if (o.schedule == "cosine") return 0.55 + 0.45 * std::cos(M_PI * done);
  return o.schedule == "linear" ? 1 - 0.9 * done : 1;
}

// All by AdamW; or matrices of the blocks by Muon, with a rate of their own.
optim::MultiOptimizer optimizer_of(const Options& o) {
  optim::AdamW adam{.learning_rate = 0.0, .betas = {0.9, 0.95}, .weight_decay = o.decay};
  if (o.optimizer == "adamw") return {{adam}, {}};
  return {{optim::Muon{.learning_rate = 0.0, .weight_decay = o.decay}, adam},
          {[](const std::string& path, const array& a) {
            return path.starts_with("blocks.") && a.ndim() == 2;
          }}};
}

// A time becomes a number of steps, once `warmup` of them are done.
void fix_steps(Options& o, const Clocks& clocks) {
  double share = o.cpu_seconds > 0 ? static_cast<double>(o.cpu_seconds) / clocks.cpu()
                                   : static_cast<double>(o.seconds) / clocks.wall();
  o.steps = std::max(static_cast<int64_t>(share * warmup), warmup);
  std::cerr << warmup << " steps took " << clocks.wall() << " s, " << clocks.cpu()
            << " s of processors: the run has --steps " << o.steps << "\n";
}

Gpt train(Options& o, const std::string& text, const Clocks& clocks) {
  Gpt model{int(o.width), int(o.heads), int(o.depth), int(o.endings), uint64_t(o.seed)};
  optim::MultiOptimizer optimizer = optimizer_of(o);
  optim::State state = optimizer.init(model);
  auto step = compile([&](const Gpt& m, const optim::State& s, const array& rows) {
    auto [loss, gradient] =
        nn::value_and_grad([&](const Gpt& current) { return current.loss(rows); }, m);
    std::tuple next(loss, m, s);
    optimizer.update(std::get<1>(next), optim::clip_grad_norm(gradient, 1.0).first,
                     std::get<2>(next));
    return next;
  });
  std::mt19937_64 random(static_cast<uint64_t>(o.seed));
  array loss;
  for (int64_t i = 0; o.steps == 0 || i < o.steps; ++i) {
    if (i == warmup && o.steps == 0) fix_steps(o, clocks);
    for (auto& [name, rate] : state)
      if (name.ends_with("learning_rate")) {
        bool by_muon = o.optimizer == "muon" && name.starts_with("states.0.");
        rate = array(float((by_muon ? o.matrix_rate : o.rate) * course(o, i)));
      }
    std::vector<size_t> places;
    for (int64_t r = 0; r < o.batch; ++r)
      places.push_back(random() % (text.size() - static_cast<size_t>(o.context)));
    std::tie(loss, model, state) = step(model, state, rows_at(text, places, o.context));
    eval(loss, model, state);
    if (!o.folder.empty() && (i + 1) % 100 == 0)
      std::cerr << "step " << i + 1 << "  loss " << loss.item<float>() << "  " << clocks.wall()
                << " s\n";
  }
  return model;
}

// FNV-1a of all parameters: two runs agree when these do.
std::string digest(const Gpt& model) {
  uint64_t hash = 14695981039346656037u;
  nn::each_parameter(model, [&](const std::string&, const array& a) {
    array whole = contiguous(a);
    eval(whole);
    const auto* bytes = reinterpret_cast<const unsigned char*>(whole.data<float>());
    for (size_t i = 0; i < whole.nbytes(); ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
  });
  std::ostringstream text;
  text << std::hex << hash;
  return text.str();
}

// Throws std::invalid_argument that names the option.
void put(Options& o, const std::string& name, const std::string& value) {
  auto bad = [&](const char* needed) {
    throw std::invalid_argument("--" + name + " is \"" + value + "\"; " + needed + " is needed.");
  };
  auto counts = o.counts();
  auto numbers = o.numbers();
  auto words = o.words();
  std::istringstream in(value);
  if (auto it = counts.find(name); it != counts.end()) {
    if (!(in >> *it->second) || !in.eof() || *it->second < 0) bad("a whole number from 0 on");
  } else if (auto number = numbers.find(name); number != numbers.end()) {
    if (!(in >> *number->second) || !in.eof() || *number->second < 0) bad("a number from 0 on");
  } else if (auto word = words.find(name); word != words.end()) {
    *word->second = value;
  } else {
    throw std::invalid_argument("There is no option --" + name + "; struct Options has them all.");
  }
}

void check(const Options& o) {
  auto need = [](bool holds, const char* text) {
    if (!holds) throw std::invalid_argument(text);
  };
  need(o.optimizer == "adamw" || o.optimizer == "muon", "--optimizer is adamw or muon.");
  need(o.schedule == "linear" || o.schedule == "cosine" || o.schedule == "constant",
       "--schedule is linear, cosine or constant.");
  need(o.context > 1 && o.batch > 0 && o.depth > 0 && o.width > 0 && o.heads > 0,
       "--context, --batch, --depth, --width and --heads must be positive.");
  need(o.width % o.heads == 0 && o.width / o.heads % 2 == 0,
       "--width must be --heads times an even number.");
}

Options read_options(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (!word.starts_with("--")) {
      o.folder = word;
    } else if (size_t at = word.find('='); at != std::string::npos) {
      put(o, word.substr(2, at - 2), word.substr(at + 1));
    } else {
      if (i + 1 == argc) throw std::invalid_argument(word + " needs a value.");
      put(o, word.substr(2), argv[++i]);
    }
  }
  if (o.folder.empty()) o.width = 64, o.heads = o.depth = 2, o.context = 64, o.endings = 0;
  if (o.seconds == 0 && o.cpu_seconds == 0 && o.steps == 0) o.steps = 100;
  check(o);
  return o;
}

// null for a run that diverged: JSON has no infinity.
std::string json_number(double value) {
  std::ostringstream text;
  text.precision(9);
  text << value;
  return std::isfinite(value) ? text.str() : "null";
}

int run(Options o) {
  bool is_real = !o.folder.empty();
  std::string text = is_real ? texts_of(o.folder) : made_up(1, 7000);
  std::string held_out = is_real ? texts_of(fs::path(o.folder) / "held-out") : made_up(2, 1000);
  if (o.judge > 0) held_out.resize(std::min(held_out.size(), static_cast<size_t>(o.judge)));
  size_t least = static_cast<size_t>(o.context) + 1;
  if (text.size() < least || held_out.size() < least)
    throw std::invalid_argument(o.folder +
                                " needs .txt files of more than --context bytes, and "
                                "others in " +
                                o.folder + "/held-out.");
  Clocks clocks;
  Gpt model = train(o, text, clocks);
  double wall = clocks.wall(), cpu = clocks.cpu(), loss = loss_on(held_out, model, o);
  double bits = loss / std::log(2.0);
  if (!is_real) {
    std::cout << nn::parameter_count(model) << " parameters, " << o.steps << " steps\n"
              << "below 3 bits a byte: " << (bits < 3 ? "yes" : "no") << "\n";
    return 0;
  }
  if (!o.save.empty()) {
    std::unordered_map<std::string, array> arrays;
    nn::each_parameter(model, [&](const std::string& path, const array& a) { arrays[path] = a; });
    save_safetensors(o.save, arrays);
  }
  std::cerr << "judged by " << held_out.size() << " bytes after " << o.steps << " steps: " << bits
            << " bits a byte\n";
  std::cout.precision(9);
  std::cout << "{\"loss\": " << json_number(loss) << ", \"bits_per_byte\": " << json_number(bits)
            << ", \"tokens\": " << o.tokens() << ", \"steps\": " << o.steps
            << ", \"seconds\": " << wall << ", \"cpu_seconds\": " << cpu
            << ", \"parameters\": " << nn::parameter_count(model) << ", \"weights\": \""
            << digest(model) << "\"}\n";
  return 0;
}

int main(int argc, char** argv) {
  try {
    return run(read_options(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << "pretrain: " << error.what() << "\n";
    return 2;
  }
}

// Output:
//   131392 parameters, 100 steps
//   below 3 bits a byte: yes
