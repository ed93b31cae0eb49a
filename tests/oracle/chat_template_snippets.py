"""Small templates, one idea each; the expected text is Jinja2's."""

VARIABLES = {
    "name": "World",
    "empty": "",
    "text": "The quick brown fox\njumps over\n\nthe lazy dog",
    "uni": "Grüße, 世界! 👋🏽 ÇA",
    "n": 7,
    "neg": -7,
    "x": 2.5,
    "zero": 0,
    "yes": True,
    "no": False,
    "nil": None,
    "nums": [3, 1, 2, 3],
    "words": ["banana", "Apple", "cherry", "apple"],
    "d": {"b": 1, "a": {"k": [1, 2]}, "C": "x", "items": "own", "get": 5},
    "users": [
        {"name": "Ann", "age": 31, "admin": True, "tags": ["x"]},
        {"name": "bob", "age": 25, "admin": False, "tags": []},
        {"name": "Cid", "age": 31, "city": {"zip": 8001}},
    ],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
    "html": '<b>"R&D\'s"</b>',
    "nested": [[1, [2, 3]], {"q": ["it's", 'say "hi"', "both '\""]}],
}

_EXPRESSIONS = """
1 + 2 * 3
(1 + 2) * 3
7 / 2
6 / 2
7 // 2
-7 // 2
7 // -2
-7 % 3
7 % -3
7.5 % 2
-7.5 // 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
2.0 ** 3
1 / 0
1 // 0
1.0 % 0
1e3
1.5e-7
1e16
123456789012345678
0.1 + 0.2
1e22
1_000
0x1F
0b101
0o17
1.0
100000.0 * 100000.0
1e15 + 0.3
- n
+ n
not yes
not nil
- name
"a" + "b"
"a" "b"
"a" ~ 1 ~ none ~ true ~ 1.5
"a" + 1
1 + "a"
"ab" * 3
3 * "ab"
"ab" * -1
[1] * 2 + [3]
[1] + (2,)
(1, 2) + (3,)
[1, 2] - [1]
true + true
true == 1
1 == 1.0
"1" == 1
none == false
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{"a": 1} == {"a": 1.0}
1 < 2 < 3
1 < 3 < 2
"a" < "b"
[1, 2] < [1, 3]
1 < "a"
none < 1
1 != 2
2 >= 2
2 <= 1
1 in [1, 2]
3 not in [1, 2]
"or" in name
"a" in d
"z" in d
1 in name
1 in 5
"x" in nil
"x" in missing
missing in [1]
yes and name
no and name
no or name
nil or empty or 0
yes or 1 / 0
name if yes else "n"
name if no
name if no else "n" if yes else "m"
(name if no) is undefined
"\\t" ~ "a\\tb".expandtabs()
missing
missing.attr
missing["attr"]
missing()
missing + 1
missing ~ "x"
missing == missing
missing is defined
d.missing
d.missing.more
d["missing"]
d.a.k[1]
d.a.k[-1]
d.a.k[5]
d.a["k"]
d["a"].k.0
d["items"]
d.get("b")
d.get("zz")
d.get("zz", "fallback")
nil.x
nil["x"]
n.x
name.x
name[0]
name[-1]
name[10]
name["upper"]()
uni[0:5]
uni[7]
uni[-4:]
uni[::-1]
uni | length
name[1:3]
name[:2]
name[2:]
name[::2]
name[::-1]
name[-3:-1]
name[10:]
name[3:1]
name[::0]
nums[1:]
nums[::-1]
nums[:-1]
nums[-100:100]
(1, 2, 3)[1:]
range(10)[2:8:2]
nil[1:]
d[1:]
range(3)
range(3) | list
range(1, 10, 3) | list
range(5, 0, -2) | list
range(0) | list
range(1, 2, 0)
range(200000)
[1, "a", none, true, 1.5, {"k": (1,)}, (), [], {}]
{"a": 1, 2: "b", none: 3, "a": 4}
{[1]: 2}
(1,)
()
(1, 2,)
[1, 2,]
{"a": 1,}
nested
nested | string
"it's"
'say "hi"'
["it's", 'say "hi"', 'both \\' and "', "tab\\t nl\\n \\\\ \\x07 é \\u200b"]
"\\u00e9\\x41\\101\\q\\'"
"line\\
continued"
[missing]
[1.0, 1e20, 1e-5, -0.0]
name.upper()
name.lower().title()
"hello world's end".title()
"hELLO".capitalize()
"Straße".upper()
"ΑΣ ΣΑΣ".lower()
uni.upper()
uni.lower()
"aBc".swapcase()
"  x ".strip()
"  x ".lstrip() ~ "|"
"  x ".rstrip() ~ "|"
"xxhixx".strip("x")
"abcba".strip("ab")
"éaé".strip("é")
"\\u00a0 x\\u3000".strip()
"a,b,,c".split(",")
"a,b,,c".split(",", 1)
" a  b c ".split()
" a  b c ".split(none, 1)
"a b c".split(" ", maxsplit=1)
"a,b,c".rsplit(",", 1)
" a b  c ".rsplit(none, 1)
" a b  c ".rsplit()
"abc".split("")
"a</think>b".split("</think>")[-1]
"a\\nb\\r\\nc".splitlines()
"a\\nb\\n".splitlines(true)
"hello".startswith("he")
"hello".startswith(("x", "he"))
"hello".endswith("lo")
"hello".startswith("l", 2)
"hello".startswith(1)
"hello".find("l")
"hello".rfind("l")
"hello".find("z")
"hello".index("z")
"héllo".find("l")
"hello".count("l")
"hello".count("")
"aXbX".replace("X", "-")
"aXbX".replace("X", "-", 1)
"abc".replace("", "-")
"abc".replace("b", 1)
", ".join(["a", "b"])
", ".join([1])
"".join(words)
"{} {}".format(1, "a")
"{1} {0}".format(1, "a")
"{a} {b!r}".format(a=1, b="x")
"{:>5}|{:<5}|{:^5}|{:*^7}".format("a", "b", "c", "d")
"{:05d} {:+d} {:,} {:x} {:#x} {:b} {:o}".format(42, 42, 1234567, 255, 255, 5, 8)
"{:.2f} {:8.3f} {:e} {:g} {:%} {:.0f}".format(3.14159, 2.5, 12345.678, 0.0001, 0.25, 2.5)
"{0[k]} {0.k}".format({"k": 1})
"{:{w}}|".format("a", w=4)
"{{}} {}".format(1)
"{}".format()
"{".format()
"{:d}".format("a")
"{:s}".format("abc")
"{:.2}".format("abc")
"{}".format(none)
"%s and %d" % ("a", 3)
"%s" % name
"%5.1f|%-5s|%05d|%x|%%" % (3.14159, "ab", 42, 255)
"%(a)s" % {"a": 1}
"%d" % "a"
"%s %s" % ("a",)
"%s" % ("a", "b")
"%r" % ("a",)
"%s" % [1, 2]
"%c" % 65
"abc".isalpha()
"12".isdigit()
"ab1".isalnum()
"AB".isupper()
"ab".islower()
"  ".isspace()
"".isspace()
"a-b-c".partition("-")
"a-b-c".rpartition("-")
"prefix-x".removeprefix("prefix-")
"x.txt".removesuffix(".txt")
"a".center(5) ~ "|"
"a".ljust(3, ".") ~ "|"
"a".rjust(3)
"-5".zfill(4)
d.keys()
d.values() | list
d.items()
d.keys() | list
d.items() | list
d.items()[0]
d.pop("b")
d.update({"x": 1})
d.copy()
nums.append(1)
nums.append
nums.index(2)
nums.count(3)
nums.sort()
name.__class__
d.__class__
name | upper
name | lower | capitalize
"hello wORLD-foo (bar)" | title
"  x " | trim ~ "|"
"xxaxx" | trim("x")
5 | trim
name | replace("o", "0")
"aaa" | replace("a", "b", 2)
5 | replace(5, 6)
name | length
nums | count
missing | length
5 | length
d | length
missing | default("x")
missing | default
nil | default("x")
nil | default("x", true)
"" | d("e", boolean=true)
missing.x | default("x")
nums | join(", ")
nums | join
users | join(", ", attribute="name")
missing | join
nums | first
nums | last
[] | first
[] | last is undefined
name | first
d | first
nums | sort
nums | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
users | sort(attribute="age") | map(attribute="name") | list
users | sort(attribute="age,name", reverse=true) | map(attribute="name") | list
[1, "a"] | sort
words | unique | list
nums | unique | list
words | unique(case_sensitive=true) | list
[[1], [1]] | unique | list
nums | reverse | list
name | reverse
nums | min
words | max
users | min(attribute="age")
[] | max
nums | sum
users | sum(attribute="age")
users | sum("age", 100)
[] | sum
[[1], [2]] | sum(start=[])
-5 | abs
-2.5 | abs
2.5 | round
3.5 | round
2.567 | round(2)
2.567 | round(1, "floor")
2.567 | round(1, "ceil")
42 | round
1234.5 | round(-2)
2.675 | round(2)
"42" | int
"42.7" | int
"abc" | int
"abc" | int(-1)
"0x1A" | int(0, 16)
" 12 " | int
"1_000" | int
3.99 | int
-3.99 | int
true | int
nil | int
"1e3" | int
"3.5" | float
"abc" | float
"1e400" | float
7 | float
nil | float(1.5)
5 | string
nil | string
name | list
d | list
nil | list
words | map("upper") | list
words | map("replace", "a", "A") | list
users | map(attribute="city.zip") | list
users | map(attribute="city.zip", default="?") | list
users | map(attribute="city", default={}) | list
nums | map("string") | join("-")
nums | map("nope") | list
nums | map | list
nums | select("odd") | list
nums | select("greaterthan", 1) | list
nums | select(">", 1) | list
nums | select("in", [1, 2]) | list
nums | reject("equalto", 3) | list
[0, 1, "", "a"] | select | list
[0, 1, "", "a"] | reject | list
users | selectattr("admin") | map(attribute="name") | list
users | selectattr("admin", "defined") | map(attribute="name") | list
users | selectattr("age", "equalto", 31) | list | length
users | selectattr("name", "in", ["bob"]) | list | length
users | rejectattr("admin") | map(attribute="name") | list
users | selectattr("city.zip", "==", 8001) | map(attribute="name") | list
users | selectattr("admin") | length
users | selectattr("admin") | first
users | selectattr("admin") | last
nums | select("nope") | list
users | groupby("age")
users | groupby("age") | map(attribute="grouper") | list
users | groupby("age") | map("last") | map("length") | list
words | groupby(0) | list
users | groupby("admin", default=false) | length
d | dictsort
{"b": 1, "A": 2} | dictsort
{"b": 1, "A": 2} | dictsort(true)
{"b": 1, "A": 2} | dictsort(by="value")
{"b": 1, "A": 2} | dictsort(false, "value", true)
d | items | list
missing | items | list
nums | items | list
nums | batch(3) | list
nums | batch(3, 0) | list
nums | slice(3) | list
nums | slice(3, "x") | list
text | indent
text | indent(2, true)
text | indent("> ", blank=true)
"" | indent
5 | indent
text | truncate(12)
text | truncate(12, true)
text | truncate(12, false, "!", 0)
"short" | truncate(10)
text | wordcount
text | center(60) | length
"a" | center(6) ~ "|"
"%s-%s" | format(1, 2)
"%(a)s" | format(a=1)
"a b&c/d?é" | urlencode
{"a": 1, "b c": "d/e"} | urlencode
html | e
html | escape | length
html | safe
html | safe ~ html
(html | safe) + html
html + (html | safe)
html | e | e
html | forceescape
1000 | filesizeformat
123456789 | filesizeformat
123456 | filesizeformat(true)
d | tojson
nested | tojson
uni | tojson
uni | tojson(ensure_ascii=true)
d | tojson(indent=2)
[] | tojson(indent=2)
[{}, [], [1]] | tojson(indent=4)
d | tojson(separators=(",", ":"))
d | tojson(sort_keys=true)
{"b": 1, "a": 2} | tojson(sort_keys=true, indent=1)
d | tojson(indent="\\t")
(1, 2) | tojson
1.0 | tojson
1e100 | tojson
none | tojson
{1: 2, none: 3, true: 4, 1.5: 6} | tojson
missing | tojson
nums | map("string") | tojson
"</script>\\u2028 \\x7f \\x01 \\\\ \\"" | tojson
d | attr("b")
d | nope
d is nope
name is string
n is number
x is float
n is integer
yes is integer
yes is number
yes is boolean
nil is none
nil is not none
missing is undefined
missing is not defined
d is mapping
nums is mapping
nums is sequence
d is sequence
name is sequence
5 is sequence
nums is iterable
5 is iterable
missing is iterable
(nums | map("string")) is sequence
(nums | map("string")) is iterable
d.items() is sequence
3 is odd
4 is even
-3 is odd
2.5 is odd
"a" is odd
9 is divisibleby 3
9 is divisibleby(2)
nil is sameas none
1 is sameas 1
yes is sameas true
1 is sameas true
1 is eq 1
1 is equalto 1.0
1 is ne 2
1 is lt 2
1 is greaterthan 2
2 is ge 2
2 is le 1
1 is in [1, 2]
"a" is in "abc"
yes is true
no is false
1 is true
"abc" is lower
"ABC" is upper
name.upper is callable
name is callable
range is callable
"upper" is filter
"nope" is filter
"odd" is test
html is escaped
(html | safe) is escaped
not name is string
name is string and n is number
name is defined or 1 / 0
d.a is defined and d.a.k is defined
1 is odd is even
1 is string if yes
dict(a=1, b=2)
dict([("a", 1)])
dict({"a": 1}, b=2)
dict(1)
namespace(a=1).a
namespace(a=1).b is defined
namespace(a=1)["a"]
namespace(a=1)
namespace({"a": 1}, b=2).b
[1, 2, 3][1:] | sum
users[0].name | upper
users[0]["tags"][0]
users | length > 2
name | length + 1
-n | abs
(1, 2) | join("-")
nums | join("-" * 2)
[1, 2] | first + 1
"a" if 1 == 1 else "b" ~ "c"
not 1 == 2
not (yes and no)
1 + 1 ~ 2
"x" ~ 1 + 1
2 * "a" ~ "b"
1 if 0 else 2 if 0 else 3
[x * 2, n]
{"k": n}["k"]
[[1, 2], [3]][0][1]
"a".upper().lower() == "a"
"%s" % none
strftime_now("%Y")
strftime_now("")
raise_exception("stop")
raise_exception()
cycler(1, 2).next()
range(3).count(1)
range(5)[1]
range(5)[-1]
range(3) == range(3)
nums | map("int") | sum
*nums
dict(**d)["b"]
range(*[1, 4]) | list
d.a.k | map("string") | map("upper") | join
1 |
| upper
foo bar
1 +
(1
[1, 2
{"a" 1}
a.b.
"unclosed
'a' 'b' ~ "c"
name.upper().
@
1 = 2
true = 1
loop.index
loop
"a" is not
x is not none
none
True and None is none
False
"abc"[1]|upper
words|map('first')|list
words|map('length')|max
users|map(attribute='name')|map('lower')|sort|join(',')
users|map(attribute=0)|list
text.split('\\n')|length
text.splitlines()|reject('eq','')|list
(text|string).split()|batch(4)|map('join',' ')|list
9223372036854775807
-9223372036854775807 - 1
nums[true]
nums[1.0]
nums["a"]
d[nums]
d[1]
name.format(1)
"{0}{0}".format("ab")
"{!s:>4}|".format(1)
"{:>{}}|".format("a", 3)
"a\\tbc\\td\\n\\te".expandtabs(4)
"%5s|%-5s|%.1s" % ("é", "世", "abc")
"%+d % d %i" % (1, 2, 3.9)
"%e %G" % (12345.678, 1e-10)
"%o %X %#x" % (8, 255, 255)
"%.3d" % 5
"%*d" % (5, 42)
"{:_} {:,.2f} {:010.3f} {:+.1e}".format(1234567, 1234567.891, 3.14159, 12345.6789)
"{:<5d}|{:^6}|{:=+5d}".format(1, 2, 3)
"{:c}".format(65)
"{:5}|{:<5}|".format(true, none)
1.5 | string ~ 2
10.0 ** 20
1e308 * 10
7 // 2.0
7.0 // 2
0.1 | round(3)
1e-7 | string
123456.789e3
[1,2,3] | last
"abc" | last
d | last
range(3) | last
(1,2) | reverse | list
nil | reverse
nil | first
5 | join
nums | sort | first
nil ~ missing ~ empty
"" is none
empty is defined
""|length == 0
d.C
d.c
users[0].items() | list | length
users.0.name
users[5].name
users[-1].name
""".strip("\n")


def _expressions():
    buffer = ""
    for line in _EXPRESSIONS.split("\n"):
        buffer += line
        if buffer.endswith("\\") and not buffer.endswith("\\\\"):
            buffer += "\n"
            continue
        yield "{{ " + buffer + " }}"
        buffer = ""


_BLOCKS = [
    # whitespace
    "",
    "\n",
    "a\n",
    "a\n\n",
    "a\r\nb\rc\n",
    "a {{ n }}\nb",
    "a {{- n -}} b",
    "a \n {{- n -}} \n b",
    "a {{+ n }} b",
    "  {% if yes %}\n  x\n  {% endif %}\n  y",
    "  {%+ if yes %}\n  x\n  {%+ endif %}\n  y",
    "  {%- if yes -%}\n  x\n  {%- endif -%}\n  y",
    "{% if yes +%}\nx{% endif +%}\ny",
    "x  {% if yes %}  y  {% endif %}  z",
    "x\n\t {# comment #}\ny",
    "x {#- comment -#} y",
    "x {# multi\nline #}\n y",
    "x {# a #}{# b #}\ny",
    "{#-#}x",
    "{# unclosed",
    "{{ n",
    "{% if yes %}",
    "{% endif %}",
    "{% if yes %}{% endfor %}",
    "{% nope %}",
    "{% %}",
    "{ { % } #} %} }}",
    "{",
    "a{",
    "{{'{{'}}{{ '}}' }}{{ \"%}\" }}",
    "{% raw %}{{ n }}{% if %}{% endraw %}x",
    "  {% raw %}\n a\n  {% endraw %}\n b",
    "x {%- raw -%} y {%- endraw -%} z",
    "{% raw %}{% end raw %}{% endraw %}",
    "{% raw %}unclosed",
    "{%raw%}{%endraw%}{%set a=1%}{{a}}",
    "\n\n  {% set a = 1 %}\n\n  {{ a }}  \n\n",
    "{{ n }}\n{{ n }}\n",
    "{{ n -}}\n   {{ n }}",
    "a\n  {% if yes %}b{% endif %}\n  c\n",
    "<|x|>\n{% for i in nums %}\n{{ i }}\n{% endfor %}\n<|y|>",
    "\u00a0{%- if yes %}x{% endif %}",
    "x\u2003\n{%- if yes -%}\n\u3000y{% endif %}",
    "{% if yes %}\n\n\nx{% endif %}",
    "{{\nn\n}}",
    "{{ n }}{% if yes %}\n{% endif %}\nx",
    "   {{ n }}\n   {% set q = 1 %}{{ q }}",
    "{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ {'a': {}}}}",
    # if
    "{% if no %}a{% elif yes %}b{% else %}c{% endif %}",
    "{% if no %}a{% elif no %}b{% else %}c{% endif %}",
    "{% if yes: %}a{% endif %}",
    "{% if 1, 2 %}a{% endif %}",
    "{% if not no %}a{% endif %}",
    "{% if missing %}a{% else %}b{% endif %}",
    "{% if no %}{{ 1 | nope }}{% endif %}x",
    "{% if %}{% endif %}",
    # for
    "{% for i in nums %}{{ i }},{% endfor %}",
    "{% for i in [] %}{{ i }}{% else %}none{% endfor %}",
    "{% for i in nums %}{{ i }}{% else %}none{% endfor %}",
    "{% for i in missing %}{{ i }}{% else %}none{% endfor %}",
    "{% for i in nil %}{{ i }}{% endfor %}",
    "{% for i in 5 %}{{ i }}{% endfor %}",
    "{% for c in uni %}[{{ c }}]{% endfor %}",
    "{% for k in d %}{{ k }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }};{% endfor %}",
    "{% for (k, v) in d | items %}{{ k }};{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for a, b in [1] %}{{ a }}{% endfor %}",
    "{% for i in nums if i > 1 %}{{ loop.index }}:{{ i }}/{{ loop.length }} {% endfor %}",
    "{% for i in nums if i > 9 %}{{ i }}{% else %}none{% endfor %}",
    "{% for i in 1, 2, 3 %}{{ i }}{% endfor %}",
    "{% for i in nums if i > 1 if i < 3 %}{{ i }}{% endfor %}",
    "{% for u in users if u.admin is defined and u.admin %}{{ u.name }}{% endfor %}",
    "{% for i in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
    "{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "{% for i in nums %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}",
    "{% for i in nums %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for i in nums %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }} {% endfor %}",
    "{% for i in nums %}{{ loop.nope }}{{ loop.nope is defined }}{% endfor %}",
    "{% for i in nums %}{% for j in [1, 2] %}{{ loop.index }}{{ loop.first }}{% endfor %}"
    "{{ loop.index }};{% endfor %}",
    "{% for i in nums %}{% set o = loop %}{% for j in [1] %}{{ o.index }}{% endfor %}{% endfor %}",
    "{% for i in nums %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in nums %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in nums %}{% break %}{% else %}e{% endfor %}",
    "{% for i in nums %}{% continue %}{% else %}e{% endfor %}",
    "{% break %}",
    "{% for i in tree recursive %}{{ i.v }}({{ loop.depth }}{{ loop(i.kids) }}){% endfor %}",
    "{% for i in tree recursive %}{{ i.v }}{% if i.kids %}[{{ loop(i.kids) }}]{% endif %}{% endfor %}",
    "{% for i in nums %}{{ loop(nums) }}{% endfor %}",
    "{% for i in nums | map('string') %}{{ i }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% set g = nums | map('string') %}{{ g | list }}{{ g | list }}",
    "{% for i in range(3) %}{{ i }}{% endfor %}{{ i }}",
    "{% set i = 9 %}{% for i in range(3) %}{% endfor %}{{ i }}",
    "{% for i in nums %}{% set n = i %}{{ n }}{% endfor %}{{ n }}",
    "{% set t = 0 %}{% for i in nums %}{% set t = t + i %}{{ t }} {% endfor %}{{ t }}",
    "{% set ns = namespace(t=0) %}{% for i in nums %}{% set ns.t = ns.t + i %}{% endfor %}{{ ns.t }}",
    "{% for i in nums %}{{ n }}{% set n = i %}{{ n }} {% endfor %}",
    "{% for loop in nums %}{% endfor %}",
    "{% for i in nums recursive %}{{ i }}{% endfor %}",
    "{% for m in users %}{{ m.name }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for m in users[1:] %}{{ m.name }}{% endfor %}",
    "{% for m in users | rejectattr('age', 'eq', 31) %}{{ m.name }}{% endfor %}",
    "{% for g, us in users | groupby('age') %}{{ g }}:{{ us | map(attribute='name') | join(',') }};{% endfor %}",
    "{% for row in nums | batch(2, '-') %}{{ row | join }}|{% endfor %}",
    "{% for x.y in nums %}{% endfor %}",
    "{% for i in nums %}",
    "{% for in nums %}{% endfor %}",
    "{% for i nums %}{% endfor %}",
    # set
    "{% set a = 1 %}{{ a }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set (a, b) = [1, 2] %}{{ a }}{{ b }}",
    "{% set a = 1, %}{{ a }}",
    "{% set a, b = 1 %}{{ a }}",
    "{% set a %}x{{ n }}y{% endset %}{{ a }}{{ a | length }}",
    "{% set a | upper | trim %} x {{ n }} y {% endset %}[{{ a }}]",
    "{% set a | replace('x', 'y') %}xax{% endset %}{{ a }}",
    "{% set name = name ~ '!' %}{{ name }}",
    "{% if yes %}{% set a = 1 %}{% endif %}{{ a }}",
    "{% if no %}{% set a = 1 %}{% endif %}{{ a is defined }}",
    "{% set a = b = 1 %}",
    "{% set 1 = 2 %}",
    "{% set true = 2 %}",
    "{% set a.b = 2 %}",
    "{% set d.b = 2 %}",
    "{% set d['b'] = 2 %}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.b = [ns.a] %}{{ ns.a }}{{ ns.b }}{{ ns.c }}",
    "{% set ns = namespace(a=1) %}{% set ns.a, c = 2, 3 %}{{ ns.a }}{{ c }}",
    "{% set ns = namespace(x=0) %}{% set ns.x %}block{% endset %}{{ ns.x }}",
    "{% set ns = namespace(found=false) %}{% for u in users %}{% if u.age == 25 %}{% set ns.found = u %}"
    "{% endif %}{% endfor %}{{ ns.found.name }}",
    "{% set x = 5 %}{% set y %}{% set x = 6 %}{{ x }}{% endset %}{{ x }}{{ y }}",
    "{% set _p = 1 %}{{ _p }}",
    # with, filter, call, macro
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% filter upper %}a{{ name }}{% endfilter %}",
    "{% filter replace('a', 'b') | trim %} aXa {% endfilter %}",
    "{% filter indent(2) %}a\nb{% endfilter %}",
    "{% macro f() %}x{% endmacro %}{{ f() }}{{ f() }}",
    "{% macro f(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(b=4, a=5) }}",
    "{% macro f(a, b=a) %}{{ a }}-{{ b }}{% endmacro %}{{ f(1) }}",
    "{% macro f(a) %}[{{ a }}]{{ a is defined }}{% endmacro %}{{ f() }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(c=2) }}",
    "{% macro f(a=1, b) %}{% endmacro %}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, k=3) }}",
    "{% macro f(a) %}{{ varargs | join(',') }}{% endmacro %}{{ f(1, 2, 3) }}",
    "{% macro f() %}{{ n }}{% set n = 8 %}{{ n }}{% endmacro %}{{ f() }}{{ n }}",
    "{% macro f() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ f() }}",
    "{% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro g() %}G{% endmacro %}{% macro f() %}{{ g() }}F{% endmacro %}{{ f() }}",
    "{{ f() }}{% macro f() %}x{% endmacro %}",
    "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}body {{ n }}{% endcall %}",
    "{% macro f() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5) f() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro f(x) %}{{ x }}{{ caller() }}{% endmacro %}{% call f('q') %}b{% endcall %}",
    "{% macro f() %}x{% endmacro %}{% call f() %}b{% endcall %}",
    "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}",
    "{% macro f() %}{{ caller() }}{% endmacro %}{{ f() }}",
    "{% call n %}{% endcall %}",
    "{% macro f(a, b) %}{% endmacro %}{{ f.name }}{{ f.arguments }}{{ f.catch_kwargs }}",
    "{% macro f() %} x {% endmacro %}[{{ f() | trim }}]{{ f() is string }}{{ f is callable }}",
    "{% for i in nums %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}",
    "{% macro f(x) %}{% for i in x recursive %}{{ i.v }}{{ loop(i.kids) }}{% endfor %}{% endmacro %}{{ f(tree) }}",
    "{%- macro f(x) -%}\n  {{- x -}}\n{%- endmacro -%}\n[{{ f(1) }}]",
    "{% macro f(a) %}{{ a | tojson }}{% endmacro %}{{ f({'x': 'é'}) }}",
    "{% set fs = [] %}{% macro f() %}1{% endmacro %}{{ [f][0]() }}",
    "{% macro f(a='}}') %}{{ a }}{% endmacro %}{{ f() }}",
    "{% generation %}a{{ n }}{% endgeneration %}b",
    "{%- generation -%}\n x \n{%- endgeneration -%} y",
    "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{% generation %}",
    "{% print n, name %}",
    "{% print n %}",
    "{% do n %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}",
    "{% set j = joiner('|') %}{% for i in nums %}{{ j() }}{{ i }}{% endfor %}",
    "{% set j = joiner() %}{{ j() }}{{ j() }}{{ j() }}",
    "{{ raise_exception('no ' ~ name) }}",
    "{% if n != 7 %}{{ raise_exception('no') }}{% endif %}ok",
    "{{ 'a' }}{{ raise_exception('x') }}",
    # chat shapes
    "{% for m in users %}{{ '<|' + m['name'] + '|>\n' }}{{ m['age'] | string + '\n' }}{% endfor %}",
    "{{ bos_token | default('<s>') }}{% for m in users %}{% if loop.first and m.name != 'x' %}S{% endif %}"
    "{% if (m.age == 25) != (loop.index0 % 2 == 1) %}{{ raise_exception('alternate') }}{% endif %}{% endfor %}",
    "{% set sys = users[0] if users[0].name == 'Ann' else none %}{{ sys.name if sys }}",
    "{% if users[0]['name'] == 'Ann' %}{% set loop_messages = users[1:] %}{% set s = users[0]['name'] %}"
    "{% else %}{% set loop_messages = users %}{% set s = '' %}{% endif %}{% for m in loop_messages %}"
    "{{ s }}{{ m['name'] }}{% endfor %}",
    "{%- for m in users | reverse %}{{ m.name }}{% endfor %}",
    "{%- for m in users[::-1] %}{%- set i = (users | length - 1) - loop.index0 %}{{ i }}{% endfor %}",
    "{% set ns = namespace(last=users | length - 1) %}{{ ns.last }}",
    "{{ (users | selectattr('age', 'equalto', 31) | list)[-1].name }}",
    "{{ users | map(attribute='tags') | select('defined') | map('length') | list }}",
    "{% set content = 'a<think>b</think>c' %}{% if '</think>' in content %}"
    "{{ content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}{% endif %}",
    "{{ d | tojson(indent=4) | indent(2) }}",
    "{% for k, v in users[0] | items %}{% if v is string %}{{ k }}:{{ v }}{% elif v is mapping %}m"
    "{% elif v is iterable %}l{% else %}{{ v }}{% endif %};{% endfor %}",
    "{% for tool in [{'function': {'name': 'f', 'parameters': {}}}] %}{% set tool = tool.function %}"
    "{{ tool.name }}{{ tool | tojson }}{% endfor %}",
    "{{ 'x' if missing is defined and missing else 'y' }}",
    "{{ users[0].tags is not none and users[0].tags | length > 0 }}",
    "{{- '\\n' if yes -}} x",
    "{{ ('a', 'b') in [('a', 'b')] }}",
    "{{ missing.x.y is defined }}",
    "{{ d.missing is defined and d.missing.x }}",
    "{{ d.a.missing or 'dflt' }}",
    "{{ 1 if missing else 2 }}",
    "{{ [1, 2] is string }}{{ none is none }}",
    "{{ name }}}}",
    "{{ name }}{{ '}' }}",
    "{{ [[]] }}{{ [{}] }}{{ {} }}",
    "{{ 'a\\\\b' }}{{ 'a\\/b' }}",
    "{% set x = {'a': 1} %}{{ x['a'] + 1 }}{{ x.a }}",
    "{% set x = x | default('q') %}{{ x }}",
    "{% include 'x' %}",
    "{% extends 'x' %}",
    "{% import 'x' as y %}",
    "{{ namespace(a=1).__class__ }}",
    "{% set ns = namespace() %}{% set ns.self = ns %}ok",
    "{{ caller }}|{{ varargs }}|{{ kwargs }}",
    "{{ ''.join(['a', missing]) }}",
    "{% set a = [] %}{% set a = a + [1] %}{% set a = a + [2] %}{{ a }}",
    "{% set m = {} %}{% set m = dict(m, k=1) %}{{ m }}",
    "{{ 1 }}{# {{ 2 }} #}{{ 3 }}",
    "{{ \"it's\" }}{{ 'a\"b' }}",
    "{% if 'a' in 'abc' and not 'z' in 'abc' %}y{% endif %}",
    "{% if name is not string %}a{% elif name is string and name|length > 3 %}b{% endif %}",
]

SNIPPETS = list(_expressions()) + _BLOCKS
