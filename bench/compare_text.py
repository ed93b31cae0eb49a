"""What the peers that run whole models have in common: rates over an answer, which each makes its
own way."""

import time


class TextPeer:
    """Below it: open() and close() of what self.opened names, and answer(command), which gives the
    ids, the seconds until the first of them and those of the others."""

    def prompt(self, ids):
        """What a prompt of that length is timed with."""
        return ids

    def greedy(self, command):
        return {"ids": [int(i) for i in self.answer(command)[0]]}

    def decode(self, command):
        spent = tokens = 0
        while spent < command["seconds"]:
            made, _, seconds = self.answer(command)
            spent, tokens = spent + seconds, tokens + len(made) - 1
        return {"rate": tokens / spent}

    def prefill(self, command):
        spent = tokens = 0
        while spent < command["seconds"]:
            _, seconds, _ = self.answer({"ids": self.prompt(command["ids"]), "new": 1})
            spent, tokens = spent + seconds, tokens + len(command["ids"])
        return {"rate": tokens / spent}

    def first_token(self, command):
        """From a file that is in the system's cache: how often a second."""
        spent = times = 0
        while spent < command["seconds"]:
            self.close()
            start = time.perf_counter()
            self.open()
            self.answer(command)
            spent, times = spent + time.perf_counter() - start, times + 1
        return {"rate": times / spent}
