"""Drives the line editor through a pseudo-terminal: line_editor_pty_test.py DRIVER

DRIVER is line_editor_driver, which prints GOT<text> for each input. Standard library only.
"""

import fcntl
import os
import pty
import select
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

DRIVER = ""
CTRL = {c: bytes([ord(c) - 64]) for c in "ACDEIKLRUWZ"}
UP, HOME, END, WORD_LEFT = b"\x1b[A", b"\x1b[H", b"\x1b[F", b"\x1b[1;5D"


def pasted(text):
    return b"\x1b[200~" + text + b"\x1b[201~"


class Session:
    """The driver in a terminal of 24 rows and 80 columns."""

    def __init__(self, *arguments, **environment):
        self.output, self.seen = b"", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            keep = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
            env = {"TERM": "xterm", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"} | keep
            os.execve(DRIVER, [DRIVER, *arguments], env | environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def read_some(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.output += piece
        return bool(piece)

    def expect(self, text):
        """Waits until `text` comes after what was expected before."""
        wanted = text.encode() if isinstance(text, str) else text
        end = time.monotonic() + 10
        while (at := self.output.find(wanted, self.seen)) < 0:
            if not self.read_some(0.05) and time.monotonic() > end:
                raise AssertionError(f"{wanted!r} did not come; got {self.output[self.seen:]!r}")
        self.seen = at + len(wanted)

    def ready(self):
        self.expect("\x1b[?2004h")
        self.expect(">\x1b[0m ")

    def send(self, *keys):
        data = b"".join(k.encode() if isinstance(k, str) else k for k in keys)
        while data:
            if select.select([], [self.fd], [], 0.05)[1]:
                data = data[os.write(self.fd, data[:1024]) :]
            self.read_some(0)

    def says(self, keys, text):
        self.send(*keys)
        self.expect(f"GOT<{text}>\r\n")
        self.ready()

    def end(self):
        """Reads to the end and returns the exit status."""
        while self.read_some(20):
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class LineEditorTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.history = os.path.join(folder.name, "state/tarn/history")
        self.sessions = []

    def tearDown(self):
        for session in self.sessions:
            try:
                os.kill(session.pid, signal.SIGKILL)
                os.waitpid(session.pid, 0)
                os.close(session.fd)
            except (ProcessLookupError, ChildProcessError, OSError):
                pass

    def start(self, *arguments, **environment):
        session = Session(*arguments, **environment)
        self.sessions.append(session)
        session.ready()
        return session

    def test_a_line_and_the_end(self):
        s = self.start()
        s.says(["hello", "\r"], "hello")
        s.says(["\r"], "")
        s.send(CTRL["D"])
        s.expect("\x1b[?2004l")
        s.expect("END")
        self.assertEqual(s.end(), 0)

    def test_utf8_in_any_locale(self):
        for locale in ({}, {"LC_ALL": "C"}, {"LANG": "C.UTF-8"}, {"LANG": "xx_YY.NONE"}):
            s = self.start(**locale)
            s.says(["naïve 日本語 👍", "\r"], "naïve 日本語 👍")
            s.says(["日本語", b"\x7f", b"\x7f", "é", "\r"], "日é")

    def test_bytes_that_are_not_utf8_do_no_harm(self):
        s = self.start()
        s.send(b"a\xff\xfe\xc3", "b\r")
        s.expect("GOT<a")
        s.says(["fine\r"], "fine")

    def test_keys(self):
        s = self.start()
        s.says(["world", HOME, "hello ", END, "!", "\r"], "hello world!")
        s.says(["one two", WORD_LEFT, "and ", "\r"], "one and two")
        s.says(["gone", CTRL["U"], "kept", "\r"], "kept")
        s.says(["keep gone", CTRL["W"], "it", "\r"], "keep it")
        s.says(["abcd", CTRL["A"], CTRL["K"], "x", CTRL["E"], "y", "\r"], "xy")
        s.says(["abc", HOME, CTRL["D"], b"\x1b[3~", "\r"], "c")
        s.send("still", CTRL["L"])
        s.expect("\x1b[H")
        s.says([" here\r"], "still here")

    def test_ctrl_c_drops_the_line(self):
        s = self.start()
        s.send("abc", b"\x1b[D", CTRL["C"])
        s.expect("^C\r\n")
        s.ready()
        s.says(["def\r"], "def")
        s.send('"""\r')
        s.expect("... ")
        s.send("in a block\r")
        s.expect("... ")
        s.send("more", CTRL["C"])
        s.ready()
        s.says(["out of it\r"], "out of it")

    def test_several_lines(self):
        s = self.start()
        s.send("one\\\r")
        s.expect("... ")
        s.says(["two\r"], "one\\ntwo")
        s.says(["a \\\\\r"], "a \\\\")
        s.send('"""\r')
        s.expect("... ")
        s.send("first\\\r")
        s.expect("... ")
        s.send("\r")
        s.expect("... ")
        s.send('"" not the end """\r')
        s.expect("... ")
        s.says(['"""\r'], 'first\\\\n\\n"" not the end """')
        s.says(["up", b"\x1b\r", "down\r"], "up\\ndown")
        s.send('"""\r')
        s.expect("... ")
        s.says(["unended\r", CTRL["D"]], "unended")

    def test_paste_does_not_submit(self):
        s = self.start()
        s.send("say: ", pasted("one\rtwo\nthree\r\n\tfour\r\r".encode()))
        time.sleep(0.2)
        s.says([" five\r"], "say: one\\ntwo\\nthree\\n\\tfour five")
        s.says([pasted(b""), "x\r"], "x")
        s.says([pasted(b"red \x1b[31m \x07\x00\xc2\x9b. \x1b[200~"), "\r"], "red [31m . [200~")
        s.says([pasted('"""\rquoted'.encode()), "\r"], '"""\\nquoted')

    def test_a_long_paste(self):
        s = self.start()
        lines = [f"line {i} " + "日本 " * 20 for i in range(1000)]
        s.says([pasted("\r".join(lines).encode()), "!\r"], "\\n".join(lines) + "!")

    def test_a_paste_that_is_too_long(self):
        s = self.start()
        s.send("kept", pasted(b"x" * (3 << 19)))
        s.expect("\n[input] the pasted text is longer than 1 Mi characters; use a file.\r\n")
        s.says(["!\r"], "kept!")

    def test_history(self):
        s = self.start(self.history)
        s.says(["first\r"], "first")
        s.says(["two\\\rlines \\\\n\r"], "two\\nlines \\\\n")
        s.says([UP, UP, "!\r"], "first!")
        s.says(["first!\r"], "first!")
        s.says(["  \r"], "  ")
        s.send(CTRL["D"])
        self.assertEqual(s.end(), 0)
        self.assertEqual(stat.S_IMODE(os.stat(self.history).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(self.history)).st_mode), 0o700)
        with open(self.history, encoding="utf-8") as file:
            self.assertEqual(file.read(), "first\ntwo\\nlines \\\\\\\\n\nfirst!\n")
        s = self.start(self.history)
        s.says([UP, UP, "\r"], "two\\nlines \\\\n")
        s.says([CTRL["R"], "irst", b"\x1b", "\r"], "first!")

    def write_history(self, content):
        os.makedirs(os.path.dirname(self.history))
        with open(self.history, "wb") as file:
            file.write(content)

    def test_history_is_bounded(self):
        self.write_history(b"".join(b"entry %d\n" % i for i in range(3000)))
        s = self.start(self.history)
        with open(self.history, "rb") as file:
            lines = file.read().splitlines()
        self.assertEqual((len(lines), lines[0], lines[-1]), (1000, b"entry 2000", b"entry 2999"))
        self.assertEqual(stat.S_IMODE(os.stat(self.history).st_mode), 0o600)
        s.says(["y" * 70000 + CTRL["A"].decode(), "\r"], "y" * 70000)
        s.says([UP, "\r"], "entry 2999")

    def test_a_damaged_history_does_no_harm(self):
        self.write_history(
            os.urandom(3 << 20) + b"\n\x1b[2J\nwhole\n" + b"\xff\n" + b"z" * (6 << 20)
        )
        s = self.start(self.history)
        s.says(["fine\r"], "fine")

    def test_a_history_that_is_no_file(self):
        os.makedirs(self.history)
        self.start(self.history).says(["folder\r"], "folder")
        os.rmdir(self.history)
        os.mkfifo(self.history)
        self.start(self.history).says(["fifo\r"], "fifo")
        self.start("/dev/null/x").says(["nowhere\r"], "nowhere")

    def test_completion(self):
        s = self.start()
        s.says(["/sa", CTRL["I"], "\r"], "/save")
        s.send("/s", CTRL["I"])
        s.expect("/save\r\n/system\r\n")
        s.says(["ys", CTRL["I"], "\r"], "/system")
        s.says(["/", CTRL["I"], "é", CTRL["I"], "\r"], "/é1")
        s.says(["none", CTRL["I"], "\r"], "none")

    def test_the_terminal_is_given_back(self):
        s = Session()
        self.sessions.append(s)
        before = termios.tcgetattr(s.fd)
        s.ready()
        self.assertNotEqual(termios.tcgetattr(s.fd)[3], before[3])
        s.send("x\r", CTRL["D"])
        s.expect("END")
        self.assertEqual(termios.tcgetattr(s.fd)[:4], before[:4])
        s.end()

    def test_signals(self):
        s = self.start()
        before = termios.tcgetattr(s.fd)
        s.send("wide")
        fcntl.ioctl(s.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 20, 0, 0))
        os.kill(s.pid, signal.SIGWINCH)
        time.sleep(0.1)
        s.says([" enough\r"], "wide enough")
        s.send("dropped")
        s.expect("dropped")
        time.sleep(0.1)
        os.kill(s.pid, signal.SIGINT)
        s.ready()
        s.says(["kept\r"], "kept")
        os.kill(s.pid, signal.SIGTERM)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(s.pid, 0)[1]), -signal.SIGTERM)
        self.assertNotEqual(termios.tcgetattr(s.fd)[3], before[3])

    def test_a_narrow_terminal(self):
        for rows, columns in ((1, 1), (2, 3), (0, 0)):
            s = self.start()
            fcntl.ioctl(s.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.kill(s.pid, signal.SIGWINCH)
            time.sleep(0.1)
            s.send("日本 and more than fits\r")
            s.expect("GOT<日本 and more than fits>")

    def test_a_dumb_terminal_is_read_plainly(self):
        s = Session(TERM="dumb")
        self.sessions.append(s)
        s.expect("interactive=1")
        s.expect(">\x1b[0m ")
        s.send("plain\r")
        s.expect("GOT<plain>")
        self.assertNotIn(b"\x1b[?2004h", s.output)

    def test_pipes(self):
        def run(data):
            return subprocess.run(
                [DRIVER, self.history], input=data, capture_output=True, timeout=60, check=True
            ).stdout

        self.assertEqual(run(b""), b"interactive=0\nEND\n")
        self.assertEqual(
            run(b'one\r\ntwo\\\nthree\n"""\nx\\\n\n"""\n\nunended'),
            b"interactive=0\nGOT<one>\nGOT<two\\nthree>\nGOT<x\\\\n>\nGOT<>\nGOT<unended>\nEND\n",
        )
        self.assertEqual(run(b"a\x00\xff\x1b"), b"interactive=0\nGOT<a\x00\xff\x1b>\nEND\n")
        long = b"x" * (8 << 20)
        self.assertEqual(
            run(long + b"\n" + long), b"interactive=0\n" + b"GOT<%s>\n" % long * 2 + b"END\n"
        )
        self.assertFalse(os.path.exists(self.history))


if __name__ == "__main__":
    DRIVER = os.path.abspath(sys.argv.pop(1))
    unittest.main()
