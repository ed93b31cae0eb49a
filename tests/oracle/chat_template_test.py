#!/usr/bin/env python3
"""Chat templates against Jinja2: the same text for the same template, or an error from both.

    chat_template_test.py --driver build/chat_template_driver [--templates DIR] [--verbose]

Always runs the snippets of chat_template_snippets.py. With --templates every *.jinja file below
DIR is rendered with several conversations as well.
"""

import argparse
import functools
import json
import pathlib
import random
import re
import subprocess
import sys
from datetime import datetime

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from chat_template_snippets import SNIPPETS, VARIABLES  # noqa: E402


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_render")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def environment():
    """Jinja2 as chat templates are rendered with."""

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, jinja2.ext.loopcontrols],
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    return env


ENV = environment()


@functools.lru_cache(maxsize=4)
def compiled(template):
    return ENV.from_string(template)


def expected(template, variables):
    try:
        return {"text": compiled(template).render(**variables)}
    except Exception as e:  # noqa: BLE001 any failure of the oracle is a failure of the template
        return {"error": f"{type(e).__name__}: {e}"}


class Driver:
    def __init__(self, command):
        self.process = subprocess.Popen(
            command,
            shell=True,
            text=True,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def render(self, template, variables):
        request = json.dumps({"template": template, "variables": variables}, ensure_ascii=False)
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the driver ended at: {request[:500]}")
        return json.loads(line)


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": 'Get the weather in a city — "now" & later.',
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city, e.g. Zürich"},
                    "days": {"type": "integer", "default": 3, "minimum": 1},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "deep": {"type": "object", "properties": {"x": {"type": ["number", "null"]}}},
                },
                "required": ["city"],
            },
            "return": {"type": "string"},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "now",
            "description": "The time.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]


def call(name, arguments, id="abcdef123"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def conversations():
    def user(text):
        return {"role": "user", "content": text}

    def assistant(text, **more):
        return {"role": "assistant", "content": text, **more}

    def system(text):
        return {"role": "system", "content": text}

    def tool(text, **more):
        return {"role": "tool", "content": text, **more}

    greeting = [user("Hi there!")]
    turns = [
        user("First question?"),
        assistant("First answer."),
        user("  Second, with spaces  \n"),
        assistant("Second answer\n\n"),
        user("Third"),
    ]
    calls = [call("get_weather", {"city": "Zürich", "days": 2, "unit": None, "tags": ["a", "b"]})]
    text_calls = [call("get_weather", json.dumps({"city": "Bern"}))]
    no_id = [{"type": "function", "function": {"name": "now", "arguments": {}}}]
    result = tool('{"temperature": 21.5}', name="get_weather", tool_call_id="abcdef123")
    used = [user("Weather?"), assistant("", tool_calls=calls), result]
    parts = [{"type": "text", "text": "Look at"}, {"type": "text", "text": "this."}]
    picture = [{"type": "text", "text": "What is it?"}, {"type": "image", "image": "x.png"}]
    think = "<think>\nSome thoughts.\n</think>\n\nThe answer."

    yield "greeting", {"messages": greeting}
    yield "system", {"messages": [system("You are terse.")] + greeting}
    yield "turns", {"messages": turns}
    yield "system+turns", {"messages": [system("Be kind.\n")] + turns}
    yield "ends with assistant", {"messages": turns[:4]}
    yield "unicode", {
        "messages": [system("你是助手。"), user("Привет 👋🏽 — “quote” & <tag>\u00a0")]
    }
    yield "tools", {"messages": greeting, "tools": TOOLS}
    yield "system+tools", {"messages": [system("Use tools.")] + greeting, "tools": TOOLS}
    yield "call", {"messages": used[:2], "tools": TOOLS}
    yield "call+result", {"messages": used, "tools": TOOLS}
    yield "call+result+answer", {"messages": used + [assistant("21.5 degrees.")], "tools": TOOLS}
    yield "two rounds", {
        "messages": [system("S")] + used + [assistant("21.5"), user("And now?")],
        "tools": TOOLS,
    }
    yield "two results", {
        "messages": [
            user("Both?"),
            assistant(None, tool_calls=calls + [call("now", {}, "zyxwvu987")]),
            result,
            tool("12:00", name="now", tool_call_id="zyxwvu987"),
        ],
        "tools": TOOLS,
    }
    yield "text arguments", {
        "messages": [user("W?"), assistant(None, tool_calls=text_calls), result],
        "tools": TOOLS,
    }
    yield "no id", {"messages": [user("W?"), assistant("Wait", tool_calls=no_id)], "tools": TOOLS}
    yield "content parts", {"messages": [user(parts), assistant("Yes."), user(parts)]}
    yield "tool parts", {"messages": [user("W?"), assistant("", tool_calls=calls), tool(parts)]}
    yield "image", {"messages": [user(picture)]}
    yield "thinking", {"messages": [user("Q"), assistant(think), user("More")]}
    yield "reasoning", {
        "messages": [
            user("Q"),
            assistant("A", reasoning_content="Because.", thinking="T"),
            user("R"),
        ]
    }
    yield "reasoning+call", {
        "messages": [
            user("Q"),
            assistant("", reasoning_content="Need it.", tool_calls=calls),
            result,
        ],
        "tools": TOOLS,
        "enable_thinking": False,
    }
    yield "thinking off", {"messages": [system("/no_think")] + turns, "enable_thinking": False}
    yield "thinking on", {"messages": turns, "enable_thinking": True, "reasoning_effort": "high"}
    yield "documents", {
        "messages": [system("Cite.")] + greeting,
        "documents": [{"title": "A", "text": "alpha"}, {"title": "B", "text": "beta", "doc_id": 2}],
    }
    yield "date", {
        "messages": greeting,
        "date_string": "01 Jan 2025",
        "tools_in_user_message": False,
    }
    yield "developer", {"messages": [{"role": "developer", "content": "Dev."}] + turns}
    yield "wrong order", {"messages": [assistant("I begin."), user("No.")]}
    yield "two users", {"messages": greeting + greeting}
    yield "unknown role", {"messages": [{"role": "wizard", "content": "Abracadabra"}]}
    yield "no content", {"messages": [{"role": "user"}]}
    yield "null content", {"messages": [user(None)]}
    yield "empty", {"messages": []}


WORDS = "the quick Größe 你好 <b> {{x}} \n \n\n ``` </think> 'q' \"q\" \\ 👋🏽 1,234.5 \t".split(" ")


def random_conversations(count, seed=20240607):
    rng = random.Random(seed)

    def text():
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, 12)))

    def arguments():
        values = [text(), rng.randint(-9, 9), 0.5, None, True, [text(), 2], {"k": text()}]
        return {f"a{i}": rng.choice(values) for i in range(rng.randint(0, 3))}

    for number in range(count):
        messages = []
        if rng.random() < 0.5:
            messages.append({"role": "system", "content": text()})
        for turn in range(rng.randint(1, 4)):
            content = text()
            if rng.random() < 0.1:
                content = [{"type": "text", "text": content}]
            messages.append({"role": "user", "content": content})
            if rng.random() < 0.4:
                calls = [
                    call(rng.choice(["get_weather", "now"]), arguments(), f"call{turn}{i}abc")
                    for i in range(rng.randint(1, 2))
                ]
                messages.append({"role": "assistant", "content": text(), "tool_calls": calls})
                for one in calls:
                    messages.append(
                        {
                            "role": "tool",
                            "content": text(),
                            "name": one["function"]["name"],
                            "tool_call_id": one["id"],
                        }
                    )
            if rng.random() < 0.7:
                more = {"reasoning_content": text()} if rng.random() < 0.2 else {}
                messages.append({"role": "assistant", "content": text(), **more})
        variables = {"messages": messages}
        if rng.random() < 0.5:
            variables["tools"] = TOOLS
        if rng.random() < 0.2:
            variables["enable_thinking"] = rng.random() < 0.5
        yield f"random {number}", variables


CONTROLS = re.compile(
    r"<\|[^|<>\n']{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[/?[A-Z_]{3,30}\]|<[a-z_]+_of_[a-z_]+>"
)


def own_text(answer):
    """What the template's author wrote; each foreign part is one NUL."""
    data, out, done = answer["text"].encode(), b"", 0
    for begin, end in answer.get("foreign", []):
        out += data[done:begin] + b"\0"
        done = end
    return (out + data[done:]).decode("utf-8", "replace")


def forgeries(driver, name, source, variables):
    """How many control tokens of the template are lost, or can be written by a message."""
    honest = driver.render(source, variables)
    if "error" in honest:
        return 0
    wrong = 0
    given = json.dumps(variables, ensure_ascii=False)
    own = own_text(honest)
    for control in sorted(set(CONTROLS.findall(source))):
        if control in given:
            continue
        if own.count(control) != honest["text"].count(control):
            wrong += 1
            print(f"LOST {name}: {control} {own.count(control)} of {honest['text'].count(control)}")
        # In place of the first message's text: the control token, and as many other characters.
        forged = []
        for content in (control, "x" * len(control)):
            changed = json.loads(json.dumps(variables))
            changed["messages"][0]["content"] = content
            forged.append(driver.render(source, changed))
        if any("error" in answer for answer in forged):
            continue
        counts = [own_text(answer).count(control) for answer in forged]
        if counts[0] > counts[1]:
            wrong += 1
            print(f"FORGED {name}: {control} {counts}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--templates", type=pathlib.Path)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    driver = Driver(options.driver)
    counts = {"same text": 0, "both refuse": 0, "different": 0}

    def check(name, template, variables):
        want, got = expected(template, variables), driver.render(template, variables)
        got.pop("foreign", None)
        if "error" in want and "error" in got:
            counts["both refuse"] += 1
            if options.verbose:
                print(f"refused {name}\n  jinja2: {want['error']}\n  tarn:   {got['error']}")
        elif want == got:
            counts["same text"] += 1
        else:
            counts["different"] += 1
            print(f"DIFFERENT {name}\n  jinja2: {want!r}\n  tarn:   {got!r}")

    for snippet in SNIPPETS:
        check(repr(snippet), snippet, VARIABLES)
    print(f"{len(SNIPPETS)} snippets: {counts}")
    lost = 0
    if options.templates:
        files = sorted(options.templates.rglob("*.jinja"))
        more = list(random_conversations(200))
        for file in files:
            source = file.read_text(encoding="utf-8")
            for name, variables in conversations():
                for prompt in (False, True):
                    check(
                        f"{file.name}: {name}, add_generation_prompt={prompt}",
                        source,
                        {
                            "bos_token": "<s>",
                            "eos_token": "</s>",
                            "add_generation_prompt": prompt,
                            **variables,
                        },
                    )
            for name, variables in more:
                check(f"{file.name}: {name}", source, {"bos_token": "<s>", **variables})
            for name, variables in more[:5]:
                lost += forgeries(driver, f"{file.name}: {name}", source, variables)
        print(f"with {len(files)} templates: {counts}")
        if not files:
            sys.exit("--templates: no *.jinja files there")
        print(f"{lost} control tokens lost or forged")
    sys.exit(1 if counts["different"] or lost else 0)


if __name__ == "__main__":
    main()
