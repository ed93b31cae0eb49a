"""What compare.py measured as text: a table, and a document that takes it."""

import pathlib
import sys

UNITS = {"tok/s": 1, "1/s": 1, "Mop/s": 1e6, "GFLOP/s": 1e9, "GB/s": 1e9}


def words_of(aim):
    share = f" or {aim['share']:.0%} of the read bandwidth" if "share" in aim else ""
    return f"{aim['times']:.2f}{share}"


def table(report):
    machine = report["machine"]
    rows = [
        f"{machine['processor']}, {machine['threads']} threads, {machine['isa']}, load average "
        f"{report['load_average'][0]:.2f} to {report['load_average_after'][0]:.2f}",
        f"read bandwidth {machine['read_bandwidth_1'] / 1e9:.1f} GB/s by one thread, "
        f"{machine['read_bandwidth_all'] / 1e9:.1f} by all",
        "",
        f"{'':19}  {'':14}  {'median':>9}  {'best':>9}  {'spread':>6}",
    ]
    for name, result in report["results"].items():
        unit = result.get("unit", "tok/s")
        scale = UNITS[unit]
        for who, r in result.items():
            if isinstance(r, dict) and "median" in r:
                error = f"  error {result['errors'][who]:.1e}" if "errors" in result else ""
                rows.append(
                    f"{name:19}  {who:14}  {r['median'] / scale:9.1f}  "
                    f"{r['best'] / scale:9.1f}  {r['spread']:6.0%}  {unit}{error}"
                )
        verdict = "met" if result["met"] else "missed"
        doubt = "" if result["beyond_noise"] else "; within twice the spread of equal"
        rows.append(
            f"{'':19}  {result['ratio']:.2f} times {result['beside']} (of the best "
            f"{result['ratio_of_best']:.2f}), "
            f"target {words_of(result['target'])}: {verdict}{doubt}"
        )
        if "share_of_read_bandwidth" in result:
            rows.append(f"{'':19}  {result['share_of_read_bandwidth']:.0%} of the read bandwidth")
    for who, size in report.get("weight_bytes", {}).items():
        rows.append(f"weights of {who}: {size / 1e6:.1f} MB")
    for who, found in report.get("agreement", {}).items():
        forced = (
            f"the same next token in {found['same_next_token']:.1%} of {found['places']} places; "
            if "places" in found
            else ""
        )
        alone = found["greedy_tokens_before_a_difference_of_48"]
        rows.append(
            f"tarn and {who}: {forced}on their own the first {alone} of 48 tokens are equal"
        )
    rows += [f"{who}: absent" for who in report["absent"]]
    return "\n".join(rows)


def put_into(file, name, text):
    """The part of a document between two marks is what was measured last."""
    document = pathlib.Path(file).read_text()
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    if begin not in document or end not in document:
        sys.exit(f"{file} has no lines {begin.strip()} and {end}.")
    before, rest = document.split(begin)
    after = rest.split(end)[1]
    pathlib.Path(file).write_text(f"{before}{begin}{text}\n{end}{after}")


def command_of(report):
    """As anybody can run it again: without what is this machine's."""
    words, kept = iter(report["command"]), []
    for word in words:
        if word in ("--driver", "--report"):
            next(words)
        else:
            kept.append(word)
    return " ".join(["bench/compare.py", *kept]) if kept else "make compare"


def described(report):
    versions = ", ".join(f"{who} {m['version']}" for who, m in report["peers"].items())
    head = f"`{command_of(report)}`, {report['when'][:10]}; {versions}."
    return f"{head}\n\n```text\n{table(report)}\n```"
