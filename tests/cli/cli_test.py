"""Runs the tarn program as a person or a script would: cli_test.py TARN MODEL

TARN is the built program, MODEL a GGUF file of SmolLM2-135M-Instruct. Standard library only.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

TARN = MODEL = ""
VERBS = "chat generate tokenize train eval research pull ls show rm verify du convert plan fuse"
VERBS = (VERBS + " merge bench ops doctor launch").split()
QUESTION = "What is the capital of France?"
EXACT = ["--temp", "0", "--precision", "exact"]


def environment(**more):
    keep = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "PATH"}
    return keep | {"HOME": "/nonexistent", "TARN_MODEL": MODEL, "LANG": "C.UTF-8"} | more


def tarn(*arguments, stdin=b"", **more):
    """(status, standard output, standard error) of one run."""
    run = subprocess.run(
        [TARN, *arguments], input=stdin, capture_output=True, timeout=120, env=environment(**more)
    )
    return run.returncode, run.stdout.decode(), run.stderr.decode()


class Terminal:
    """The program in a terminal of 24 rows and 80 columns."""

    def __init__(self, *arguments):
        self.output, self.seen = b"", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(TARN, [TARN, *arguments], environment(TERM="xterm", TARN_HISTORY=""))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def expect(self, text, seconds=60):
        """Waits until `text` comes after what was expected before."""
        wanted = text.encode()
        end = time.monotonic() + seconds
        while (at := self.output.find(wanted, self.seen)) < 0:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.output += os.read(self.fd, 65536)
                except OSError:
                    end = 0
            if time.monotonic() > end:
                raise AssertionError(f"{wanted!r} did not come; got {self.output[self.seen:]!r}")
        self.seen = at + len(wanted)

    def type(self, text):
        os.write(self.fd, text.encode())

    def status(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        raise AssertionError("the program does not end")

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class Usage(unittest.TestCase):
    def test_help_lists_the_verbs(self):
        for arguments in ([], ["--help"], ["-h"], ["help"]):
            status, out, err = tarn(*arguments)
            self.assertEqual((status, err), (0, ""))
            for verb in VERBS:
                self.assertIn(f"\n  {verb} ", out)

    def test_version(self):
        status, out, _ = tarn("--version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^tarn \d+\.\d+\.\d+\n$")

    def test_each_verb_has_help(self):
        for verb in VERBS:
            status, out, err = tarn(verb, "--help")
            self.assertEqual((status, err), (0, ""))
            self.assertIn(f"Usage: tarn {verb}", out)
            self.assertEqual(tarn("help", verb)[1], out)

    def refused(self, *arguments):
        status, out, err = tarn(*arguments)
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(err.count("\n"), 1)
        return err.removeprefix("tarn: ").rstrip("\n")

    def test_mistakes_are_one_line_and_status_2(self):
        for arguments, text in {
            ("chatt",): "`chatt` is not a verb. Did you mean `tarn chat`?",
            ("xyzzy",): "`xyzzy` is not a verb. `tarn --help` lists them.",
            ("chat", "--tmep=1"): "`--tmep` is not an option here. Did you mean --temp?",
            ("chat", "hi"): "`hi` is not an option here. `tarn chat --help` lists them.",
            ("chat", "--temp", "-1"): "--temp: -1 is not between 0 and 100.",
            ("chat", "--temp", "hot"): "--temp: `hot` is not a number.",
            ("chat", "--max-tokens", "1.5"): "--max-tokens: `1.5` is not a whole number.",
            (
                "chat",
                "--max-tokens",
                "99999999999",
            ): "--max-tokens: 99999999999 is not between 0 and 2147483647.",
            ("chat", "--seed", "-1"): "--seed: `-1` is not a whole number.",
            ("generate",): "tarn generate needs --prompt TEXT, or --prompt - for standard input.",
            ("tokenize",): "tarn tokenize needs a TEXT, or - for standard input.",
            (
                "tokenize",
                "a",
                "-x",
            ): "`-x` is not an option here. `tarn tokenize --help` lists them.",
        }.items():
            with self.subTest(arguments):
                self.assertEqual(self.refused(*arguments), text)

    def test_a_missing_model_is_one_line_and_status_1(self):
        status, out, err = tarn("chat", "--prompt=hi", TARN_MODEL="/nonexistent/m.gguf")
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(
            err,
            "tarn: [load] /nonexistent/m.gguf does not exist. Give a GGUF file, a folder with "
            "config.json, or run `make chat` once to fetch the default model.\n",
        )

    def test_what_is_no_model_is_refused(self):
        for content in (b"", b"GGUF", b"not a model at all" * 100, b"\0" * 4096):
            with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
                file.write(content)
                file.flush()
                status, out, err = tarn("chat", "--prompt=hi", "--model", file.name)
                self.assertEqual((status, out), (1, ""))
                self.assertTrue(err.startswith("tarn: ["), err)
                self.assertIn(file.name, err)


class Once(unittest.TestCase):
    def test_only_the_answer_is_on_standard_output(self):
        status, out, err = tarn("chat", f"--prompt={QUESTION}", *EXACT)
        self.assertEqual((status, out, err), (0, "The capital of France is Paris.\n", ""))

    def test_a_prompt_may_be_anything(self):
        for prompt in ("", "-x", "--help", "[a,b]", "{}", "a\nb", "$HOME \"'`", "/help"):
            with self.subTest(prompt):
                run = ["chat", f"--prompt={prompt}", "--max-tokens", "1"]
                status, out, _ = tarn(*run)
                self.assertEqual((status, out[-1:]), (0, "\n"))
        run = [TARN, "chat", b"--prompt=\xff\xfe", "--max-tokens", "1"]
        self.assertEqual(subprocess.run(run, capture_output=True, env=environment()).returncode, 0)

    def test_a_cut_answer_says_so(self):
        status, out, err = tarn("chat", f"--prompt={QUESTION}", "--max-tokens", "3", *EXACT)
        self.assertEqual((status, out), (0, "The capital of\n"))
        self.assertEqual(
            err, "The answer ends here: it has the most tokens allowed, 3 (max-tokens).\n"
        )

    def test_a_seed_repeats_and_seeds_differ(self):
        def answer(seed):
            return tarn(
                "chat", "--prompt=Write a poem.", "--temp=1.5", "--max-tokens=24", f"--seed={seed}"
            )[1]

        self.assertEqual(answer(7), answer(7))
        self.assertGreater(len({answer(seed) for seed in range(4)}), 1)

    def test_a_reader_that_leaves_ends_it_quietly(self):
        run = subprocess.Popen(
            [TARN, "chat", "--prompt=Write a long story.", "--temp", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        run.stdout.read(1)
        run.stdout.close()
        self.assertEqual(run.stderr.read(), b"")
        run.stderr.close()
        self.assertEqual(run.wait(20), 141)

    def test_a_full_disk_is_said(self):
        with open("/dev/full", "wb") as full:
            run = subprocess.run(
                [TARN, "chat", "--prompt=hi", "--max-tokens=2"],
                stdout=full,
                stderr=subprocess.PIPE,
                env=environment(),
            )
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stderr, b"tarn: [write] standard output: No space left on device.\n")

    def test_interrupt_stops_it(self):
        run = subprocess.Popen(
            [TARN, "chat", "--prompt=Write a long story.", "--temp", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        run.stdout.read(1)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
        self.assertEqual((run.returncode, out[-1:], err), (130, b"\n", b"Stopped.\n"))


class Generate(unittest.TestCase):
    def generate(self, *arguments, **more):
        status, out, err = tarn("generate", *arguments, "--json", *EXACT, **more)
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)

    def test_json_holds_ids_text_and_probabilities(self):
        got = self.generate("--prompt", QUESTION)
        self.assertEqual(got["text"], "The capital of France is Paris.")
        self.assertEqual(got["generated_ids"], [504, 3575, 282, 4649, 314, 7042, 30])
        self.assertEqual(len(got["logprobs"]), 7)
        self.assertTrue(all(-20 < p <= 0 for p in got["logprobs"]))
        self.assertEqual(got["stats"]["finish_reason"], "stop")
        self.assertEqual(got["stats"]["prompt_tokens"], len(got["prompt_ids"]))

    def test_the_prompt_from_standard_input(self):
        given = self.generate("--prompt", QUESTION, "--max-tokens", "2")
        piped = self.generate("--prompt", "-", "--max-tokens", "2", stdin=QUESTION.encode())
        self.assertEqual(piped["prompt_ids"], given["prompt_ids"])

    def test_raw_uses_no_template(self):
        got = self.generate("--raw", "--prompt", "The capital of France is", "--max-tokens", "1")
        self.assertEqual((len(got["prompt_ids"]), got["text"]), (5, " Paris"))

    def test_stop_strings_end_the_answer_and_are_not_in_it(self):
        got = self.generate("--prompt", QUESTION, "--stop", "xyz", "--stop", " France is")
        self.assertEqual(got["text"], "The capital of")
        self.assertEqual(got["stats"]["finish_reason"], "stop")

    def test_a_system_text_changes_the_prompt(self):
        got = self.generate("--prompt", "Hi", "--system", "Be brief.", "--max-tokens", "1")
        decoded = tarn("tokenize", "--decode", json.dumps(got["prompt_ids"]))[1]
        self.assertEqual(
            decoded,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi"
            "<|im_end|>\n<|im_start|>assistant\n\n",
        )

    def test_a_prompt_beyond_the_context_is_refused(self):
        status, out, err = tarn("generate", "--prompt", "-", stdin=b"word " * 9000)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(
            err,
            r"^tarn: \[generate\] the prompt has 90\d\d tokens and the model's "
            r"context 8192\. .*\n$",
        )


class Tokenize(unittest.TestCase):
    def test_a_line_for_each_text(self):
        self.assertEqual(
            tarn("tokenize", "Hello world", "[a,b]", "", "--", "-x"),
            (0, "19556 905\n75 81 28 82 77\n\n29 104\n", ""),
        )
        self.assertEqual(tarn("tokenize", "--json", "Hello world")[1], "[19556,905]\n")
        self.assertEqual(tarn("tokenize", "-", stdin=b"Hello world")[1], "19556 905\n")

    def test_control_tokens_on_request_only(self):
        self.assertEqual(tarn("tokenize", "--special", "<|im_start|>")[1], "1\n")
        self.assertNotEqual(tarn("tokenize", "<|im_start|>")[1], "1\n")

    def test_lines_there_and_back(self):
        lines = ["Hello world", "", "Grüße 🌍\tx", " two  spaces "]
        text = "".join(line + "\n" for line in lines)
        status, ids, err = tarn("tokenize", "--lines", stdin=text.encode())
        self.assertEqual((status, err), (0, ""))
        self.assertEqual([type(json.loads(line)) for line in ids.splitlines()], [list] * 4)
        back = tarn("tokenize", "--lines", "--decode", stdin=ids.encode())[1]
        self.assertEqual([json.loads(line) for line in back.splitlines()], lines)

    def test_wrong_ids_are_named(self):
        self.assertEqual(
            tarn("tokenize", "--decode", "1 x"),
            (1, "", "tarn: [tokenize] `x` is not a token id.\n"),
        )
        self.assertEqual(tarn("tokenize", "--decode", "99999999 -5"), (0, "\n", ""))
        self.assertEqual(
            tarn("tokenize", "--lines", "a text"),
            (2, "", "tarn: --lines reads standard input: leave TEXT out.\n"),
        )


class Pipe(unittest.TestCase):
    def test_each_line_is_a_message_of_one_conversation(self):
        status, out, err = tarn("chat", *EXACT, stdin=f"{QUESTION}\n\n/clear\n{QUESTION}".encode())
        self.assertEqual((status, out), (0, "The capital of France is Paris.\n" * 2))
        self.assertEqual(err, "A new conversation.\n")

    def test_what_was_said_before_is_kept(self):
        lines = "Say hello.\n/stats\nAgain.\n/stats\n"
        _, out, err = tarn("chat", *EXACT, "--max-tokens=8", stdin=lines.encode())
        self.assertEqual(out.count("\n"), 2)
        self.assertIn("1 question, ", err)
        self.assertIn("2 questions, ", err)
        self.assertRegex(err, r"prompt \d+ \(\+\d+ kept\)")

    def test_a_conversation_goes_on_from_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "talk")
            lines = f"Say hello.\n/save {file}\nAgain.\n/load {file}\nAgain.\n"
            status, out, err = tarn("chat", *EXACT, stdin=lines.encode())
            again = tarn("chat", *EXACT, stdin=f"/load {file}\nAgain.\n/stats\n".encode())
            refused = tarn("chat", stdin=f"/load {file}x\n/load\n".encode())
        said = f"The conversation is in {file}.\nThe conversation of 1 question goes on.\n"
        self.assertEqual((status, err), (0, said))
        self.assertEqual(again[0], 0)
        self.assertTrue(out.endswith(again[1] * 2), (out, again[1]))
        self.assertIn("2 questions, ", again[2])
        self.assertRegex(again[2], r"prompt \d+ \(\+\d+ kept\)")
        self.assertEqual(refused[0], 1)
        self.assertIn("/load needs the name of a file.\n", refused[2])

    def test_mistakes_leave_the_chat_running_and_a_status(self):
        lines = f"/foo\n/set tmp 1\n/set temp x\n/set top-p 0\n/set\n{QUESTION}\n"
        status, out, err = tarn("chat", *EXACT, stdin=lines.encode())
        self.assertEqual((status, out), (1, "The capital of France is Paris.\n"))
        said = err.splitlines()
        self.assertEqual(
            said[:4],
            [
                "/foo is not a command. /help lists them; // begins a message with a slash.",
                "`tmp` is not a setting. Did you mean temp?",
                "temp: `x` is not a number.",
                "[sample] top_p is 0; it must be in (0, 1].",
            ],
        )
        self.assertIn("  precision            exact", said)

    def test_a_message_beyond_the_context_keeps_the_chat(self):
        lines = b"word " * 9000 + b"\n" + QUESTION.encode() + b"\n"
        status, out, err = tarn("chat", *EXACT, stdin=lines)
        self.assertEqual((status, out), (1, "The capital of France is Paris.\n"))
        self.assertRegex(
            err,
            r"^\[chat\] with this message the conversation has 90\d\d tokens and "
            r"the model's context 8192: the message must be shorter\.\n$",
        )


class Interactive(unittest.TestCase):
    def setUp(self):
        self.terminal = Terminal("chat", *EXACT)
        self.addCleanup(self.terminal.close)

    def test_a_conversation(self):
        t = self.terminal
        t.expect("Ctrl-D leaves")
        t.expect("> ")
        t.type(QUESTION + "\r")
        t.expect("Paris.")
        t.expect("7 tokens at ")
        t.type("/st\t\r")
        t.expect("1 question, ")
        t.type("/quit\r")
        self.assertEqual(t.status(), 0)

    def test_interrupt_stops_the_answer_and_keeps_the_chat(self):
        t = self.terminal
        t.expect("> ")
        t.type("Write a long story about the sea.\r")
        t.expect("sea.\r\n")
        t.expect(" ")
        t.type("\x03")
        t.expect("Stopped.")
        t.expect("> ")
        t.type("\x03")
        t.expect("> ")
        t.type("/clear\r")
        t.expect("A new conversation.")
        t.type(QUESTION + "\r")
        t.expect("The capital of France is Paris.")
        t.expect("> ")
        t.type("\x04")
        self.assertEqual(t.status(), 0)


class Reports(unittest.TestCase):
    def test_ops_in_three_forms(self):
        status, out, _ = tarn("ops", "--json")
        self.assertEqual(status, 0)
        all_ops = json.loads(out)
        self.assertGreater(len(all_ops), 50)
        self.assertEqual(set(all_ops[0]), {"name", "kind", "dtypes", "derivative", "cpu", "doc"})
        self.assertEqual(len(tarn("ops")[1].splitlines()), len(all_ops))
        rows = [line for line in tarn("ops", "--markdown")[1].splitlines() if line[:2] == "| "]
        self.assertEqual(len(rows), len(all_ops) + 1)

    def test_doctor_names_what_is_missing(self):
        status, out, err = tarn("doctor")
        self.assertEqual(err, "")
        self.assertIn("self-test     a matrix product came out right", out)
        self.assertEqual(status, 1 if "!!" in out else 0)
        status, out, _ = tarn("doctor", TARN_MODEL="/nonexistent/m.gguf")
        self.assertEqual(status, 1)
        self.assertIn("/nonexistent/m.gguf is not there", out)
        self.assertIn("`make chat` fetches it", out)
        env = dict(HF_ENDPOINT="http://mirror.example", HF_HUB_CACHE="/nonexistent/hub")
        out = tarn("doctor", **env, HF_HUB_OFFLINE="1", HF_TOKEN="")[1]
        self.assertIn("http://mirror.example, which is not asked: HF_HUB_OFFLINE is set\n", out)
        self.assertIn("hub cache     /nonexistent/hub, ", out)
        out = tarn("doctor", **env, HF_HUB_OFFLINE="", HF_TOKEN="hf_secret")[1]
        self.assertIn("http://mirror.example, with a token\n", out)
        self.assertNotIn("hf_secret", out)

    def test_plan_tells_memory(self):
        status, out, _ = tarn("plan", "--context=512", "--json")
        self.assertEqual(status, 0)
        plan = json.loads(out)
        self.assertTrue(plan["fits"])
        parts = ("weight_bytes", "tokenizer_bytes", "cache_bytes", "workspace_bytes")
        self.assertEqual(sum(plan[name] for name in parts), plan["own_bytes"])
        self.assertGreater(
            json.loads(tarn("plan", "--json")[1])["cache_bytes"], plan["cache_bytes"]
        )
        self.assertIn(
            "keys and values of 2 answers of 512", tarn("plan", "--context=512", "--batch=2")[1]
        )

    def test_what_does_not_fit_is_refused(self):
        # Address space that holds the program, and not the model.
        limited = ["prlimit", "--as=300000000", TARN]
        if subprocess.run([*limited, "--version"], capture_output=True).returncode:
            self.skipTest("a sanitizer takes more address space than that")
        words = [*limited, "generate", "-p", "hi", "--max-tokens=1"]
        run = subprocess.run(words, capture_output=True, text=True, env=environment())
        self.assertEqual(run.returncode, 1)
        self.assertRegex(
            run.stderr,
            r"^tarn: \[load\] .*: needs about \d+ MB of address space, `ulimit -v` leaves \d+ MB\. "
            r"Raise it, .* \(--force\)\.\n$",
        )

    def test_bench_json(self):
        status, out, _ = tarn(
            "bench", "--json", "--repeat=1", "--prompt-tokens=32", "--new-tokens=4", "--streams=3"
        )
        self.assertEqual(status, 0)
        got = json.loads(out)
        for name in (
            "load_seconds",
            "first_token_seconds",
            "load_to_first_token_seconds",
            "weight_bytes",
            "matmul_1024_gflops",
            "small_op_microseconds",
            "read_bandwidth_all",
            "anonymous_memory_bytes",
        ):
            self.assertGreater(got[name], 0, name)
        for name in (
            "prefill_tokens_per_second",
            "decode_tokens_per_second",
            "one_stream_tokens_per_second",
            "streams_tokens_per_second",
        ):
            self.assertGreater(got[name]["median"], 0, name)
        ratio = (
            got["streams_tokens_per_second"]["median"]
            / got["one_stream_tokens_per_second"]["median"]
        )
        self.assertAlmostEqual(got["streams_to_one"]["median"], ratio, places=6)
        self.assertEqual(got["streams"], 3)


if __name__ == "__main__":
    TARN, MODEL = (os.path.abspath(a) for a in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
