#include "lm/train/report.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace tarn::lm {
namespace {

using Kind = TrainEvent::Kind;

struct Curve {
  std::string name{}, style{};  // style: a class of the page's sheet
  std::vector<std::pair<double, double>> points{};
  bool has_line = true;
};

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

// A round step of which the range has four to nine.
double grid_step(double range) {
  double power = std::pow(10, std::floor(std::log10(range / 4)));
  for (double factor : {5.0, 2.0})
    if (range / (factor * power) >= 4) return factor * power;
  return power;
}

// Where numbers lie in the drawing.
struct Frame {
  static constexpr double left = 60, right = 700, top = 14, bottom = 250;
  double x0 = 0, x1 = 1, y0 = 0, y1 = 1;

  explicit Frame(const std::vector<Curve>& curves) {
    bool first = true;
    for (const Curve& c : curves)
      for (auto [x, y] : c.points) {
        x0 = first ? x : std::min(x0, x), x1 = first ? x : std::max(x1, x);
        y0 = first ? y : std::min(y0, y), y1 = first ? y : std::max(y1, y);
        first = false;
      }
    if (x1 <= x0) x1 = x0 + 1;
    if (y1 <= y0) y1 = y0 + std::max(std::abs(y0), 1e-9);
  }
  double x(double v) const { return left + (v - x0) / (x1 - x0) * (right - left); }
  double y(double v) const { return bottom - (v - y0) / (y1 - y0) * (bottom - top); }
};

std::string grid(const Frame& f) {
  std::string svg;
  double step = grid_step(f.y1 - f.y0);
  for (double v = std::ceil(f.y0 / step) * step; v <= f.y1; v += step)
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.0f}\" x2=\"{1:.0f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text x=\"{3:.0f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.4g}</text>\n",
        f.left, f.right, f.y(v), f.left - 6, f.y(v) + 4, std::abs(v) < step / 2 ? 0 : v);
  step = std::max(grid_step(f.x1 - f.x0), 1.0);
  for (double v = std::ceil(f.x0 / step) * step; v <= f.x1; v += step)
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{:.0f}</text>\n",
                       f.x(v), f.bottom + 16, v);
  return svg;
}

std::string drawing(const std::string& title, const std::vector<Curve>& curves) {
  Frame frame(curves);
  std::string svg = fmt::format("<figure><figcaption>{}", title);
  for (const Curve& c : curves)
    if (curves.size() > 1) svg += fmt::format(" <b class=\"{}\">{}</b>", c.style, c.name);
  svg += "</figcaption>\n<svg viewBox=\"0 0 720 275\" role=\"img\">\n" + grid(frame);
  for (const Curve& c : curves) {
    if (c.has_line) {
      svg += fmt::format("<polyline class=\"{}\" points=\"", c.style);
      for (auto [x, y] : c.points) svg += fmt::format("{:.1f},{:.1f} ", frame.x(x), frame.y(y));
      svg += "\"/>\n";
    }
    if (c.points.size() <= 60 || !c.has_line)
      for (auto [x, y] : c.points)
        svg += fmt::format(
            "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"><title>step "
            "{:.0f}: {:.4g}</title></circle>\n",
            c.style, frame.x(x), frame.y(y), x, y);
  }
  return svg + "</svg></figure>\n";
}

// At most so many points: the mean of neighbours, which also calms a long curve.
constexpr size_t most_points = 500;

template <class F>
Curve curve_of(const std::vector<TrainEvent>& events, Kind kind, const char* name,
               const char* style, const F& value) {
  std::vector<std::pair<double, double>> all;
  for (const TrainEvent& e : events)
    if (e.kind == kind && std::isfinite(value(e)))
      all.emplace_back(static_cast<double>(e.step), value(e));
  Curve curve{name, style, {}};
  size_t together = (all.size() + most_points - 1) / most_points;
  for (size_t at = 0; at < all.size(); at += together) {
    size_t end = std::min(at + together, all.size());
    double sum = 0;
    for (size_t i = at; i < end; ++i) sum += all[i].second;
    curve.points.emplace_back(all[end - 1].first, sum / static_cast<double>(end - at));
  }
  return curve;
}

constexpr const char* head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --ink: #222; --line: #8884; --a: #2563c9; --b: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --a: #7aa7f7; --b: #f59e5c; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 760px; margin: 2em auto; padding: 0 1em;
  color: var(--ink); }
figure { margin: 1.5em 0; } svg { width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--ink); } .grid { stroke: var(--line); }
polyline { fill: none; stroke-width: 1.6; } polyline.a { stroke: var(--a); }
polyline.b { stroke: var(--b); } circle.a { fill: var(--a); } circle.b { fill: var(--b); }
b.a { color: var(--a); } b.b { color: var(--b); }
td { padding: 0 1.5em 0 0; vertical-align: top; }
</style>
)";

}  // namespace

std::string report_of(const std::string& title,
                      const std::vector<std::pair<std::string, std::string>>& facts,
                      const std::vector<TrainEvent>& events) {
  auto loss = [](const TrainEvent& e) { return e.loss; };
  std::string page = head;
  page += fmt::format("<title>{0}</title></head>\n<body><h1>{0}</h1>\n", escaped(title));
  page +=
      drawing("Loss, nats a token", {curve_of(events, Kind::step, "training", "a", loss),
                                     curve_of(events, Kind::validation, "validation", "b", loss)});
  page += drawing("Learning rate", {curve_of(events, Kind::step, "", "a",
                                             [](const TrainEvent& e) { return e.learning_rate; })});
  page += drawing(
      "Norm of the gradient",
      {curve_of(events, Kind::step, "", "a", [](const TrainEvent& e) { return e.gradient_norm; })});
  page +=
      drawing("Tokens a second", {curve_of(events, Kind::step, "", "a", [](const TrainEvent& e) {
                return e.seconds > 0 ? static_cast<double>(e.computed) / e.seconds : 0;
              })});
  page += "<table>\n";
  for (const auto& [name, value] : facts)
    page += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), escaped(value));
  return page + "</table></body></html>\n";
}

std::string leaderboard_page(const std::vector<Trial>& trials, const std::string& text) {
  Curve seeds{"each seed", "a", {}, false}, kept{"kept", "b", {}};
  for (size_t i = 0; i < trials.size(); ++i) {
    for (double loss : trials[i].losses)
      if (std::isfinite(loss)) seeds.points.emplace_back(static_cast<double>(i), loss);
    if (trials[i].is_kept) kept.points.emplace_back(static_cast<double>(i), trials[i].mean());
  }
  std::string page = head;
  page += "<title>tarn research</title></head>\n<body><h1>tarn research</h1>\n";
  page += drawing("Validation loss by trial", {seeds, kept});
  return page + "<pre>" + escaped(text) + "</pre></body></html>\n";
}

}  // namespace tarn::lm
