"""Any text from a grid is shown literally in HTML, Markdown and LaTeX, never as markup."""

import html as html_parser
import re
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from helpers.report_samples import HOSTILE, QUESTION, SCRIPT
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import markdown2html_mistune
from rich.text import Text

from study.utils import escape

MARKUP = st.text(alphabet="\\`*_{}[]()<>#+-.!|~$&:;@=\"'^%/ \n\tab1é", max_size=40)
ANYTHING = st.one_of(MARKUP, st.text(max_size=40))
TRAPS = [
    *(
        HOSTILE,
        QUESTION,
        SCRIPT,
        "$a$ and $b$",
        r"\(x\) \[y\] \begin{a}",
        "**a** _b_ `c` ~~d~~",
        "1. one",
        "- one",
        "+ one",
    ),
    *(
        "---",
        "===",
        "# one",
        "> one",
        "www.example.com",
        "https://example.com",
        "a@example.com",
        "@name",
        ":tada:",
        "&amp;",
    ),
    *(
        "[a](b)",
        "![a](b)",
        "<b>a</b>",
        "a|b",
        "[^1]: x",
        "<!-- x -->",
        "````",
        "1) one",
        "a  \nb",
        "    code",
        "{% raw %}",
    ),
]


class Shown(HTMLParser):
    """The text that a browser shows for a piece of HTML, and its elements."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.elements = "", []  # type: str, list[str]
        self.feed(source)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.append(tag)


@given(ANYTHING)
def test_a_line_is_one_line_of_printable_text(text: str) -> None:
    line = escape.line(text)
    assert "\n" not in line
    assert "  " not in line
    assert line == line.strip(" ")
    assert line.isprintable() or re.search(r"[^\S ]|[\u00ad\u200b-\u200d\ufeff]|[^\u0020-\u007e]", line)
    line.encode()  # no lone surrogates


def test_control_characters_are_removed_from_a_line() -> None:
    assert escape.line(" a\r\n\tb  c\x00\x1b[31m ") == "a b c [31m"
    assert escape.line("a\u202eb\u2066c") == "abc"
    assert escape.line("\ud800") == "\N{REPLACEMENT CHARACTER}"
    assert escape.line("95\u00a0% \U0001f469\u200d\U0001f52c") == "95\u00a0% \U0001f469\U0001f52c"


@pytest.mark.parametrize("text", TRAPS)
def test_html_shows_traps_as_text(text: str) -> None:
    check_html(text)


@given(ANYTHING)
def test_html_shows_the_text(text: str) -> None:
    check_html(text)


def check_html(text: str) -> None:
    source = escape.html(text)
    shown = Shown(source)
    assert shown.text == escape.line(text)
    assert set(shown.elements) <= {"span"}
    check_no_formula(source)


@pytest.mark.parametrize("text", TRAPS)
@pytest.mark.parametrize("around", ["{}", "# {}", "- **{}**: x", "a {} b", "| x | y |\n|---|---|\n| {} | z |"])
def test_markdown_shows_traps_as_text(text: str, around: str) -> None:
    check_markdown(text, around)


@given(ANYTHING)
def test_markdown_shows_the_text(text: str) -> None:
    check_markdown(text, "a {} b")
    check_markdown(text, "{}")


def check_markdown(text: str, around: str) -> None:
    """As nbconvert renders it: the elements are those of the text `Q` in the same place, and no others."""
    source = escape.markdown(text)
    assert "\n" not in source
    found, plain = render(around, source), render(around, "Q")
    expected = plain.text.replace("Q", escape.line(text))
    assert re.sub(r"\s+", " ", found.text).strip() == re.sub(r"\s+", " ", expected).strip()
    if escape.line(text):
        assert [tag for tag in found.elements if tag != "span"] == plain.elements
    check_no_formula(source)


def render(around: str, source: str) -> Shown:
    return Shown(markdown2html_mistune(around.replace("{}", source)))


def check_no_formula(source: str) -> None:
    """A dollar sign or backslash is in an element of its own, so that no formula can begin and end."""
    runs = re.split(r"<[^>]*>", source)
    for run in map(html_parser.unescape, runs):
        assert run in ("$", "\\") or not set(run) & set("$\\")


@given(st.text(alphabet="`a\n~", max_size=30))
def test_a_code_block_holds_any_text(text: str) -> None:
    shown = Shown(markdown2html_mistune(f"before\n\n{escape.code_block(text)}\n\nafter"))
    assert shown.elements.count("pre") == 1
    assert re.sub(r"\s", "", shown.text).startswith("before" + re.sub(r"\s", "", text))


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 50%", r"a\_b \& 50\%"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("$x^2$", r"\$x\textasciicircum{}2\$"),
        ('# ~ | < > "', r"\# \textasciitilde{} \textbar{} \textless{} \textgreater{} \texttt{\char34}"),
        ("--a---b-c", "-{}-a-{}-{}-b-c"),
        ("−0.5 ± 1 – no", r"$-$0.5 $\pm$ 1 -- no"),  # noqa: RUF001
        ("café naïve Žižek", r"caf\'{e} na\"{i}ve \v{Z}i\v{z}ek"),
        ("αΩ ß", r"$\alpha$$\Omega$ \ss{}"),
        ("points²", r"points\texttwosuperior{}"),
        ("[a] 'b' `c`", "{[}a{]} {'}b{'} {`}c{`}"),
        ("\U0001f680 汉", r"\texttt{U+1F680} \texttt{U+6C49}"),
        ("a\nb\u00a0c", "a b~c"),
    ],
)
def test_latex_by_hand(text: str, latex: str) -> None:
    assert escape.latex(text) == latex


@given(ANYTHING)
def test_latex_is_ascii_with_balanced_braces_and_nothing_active(text: str) -> None:
    source = escape.latex(text)
    assert source.isascii()
    bare = re.sub(r"\\char34", "", source)
    bare = re.sub(r"\$(?:-|\^?\\[a-zA-Z]+)\$", "", bare)  # our own formulas
    bare = re.sub(r"\\[{}$&#_%]", "", bare)  # escaped characters
    bare = re.sub(r"\\(?:text[a-z]+|dots|ss|[`'^~=\".cruvH,])(?=[{,]|\b|$)|\\,", "", bare)  # our own commands
    assert not set(bare) & set("\\$&#_%^")
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


@given(ANYTHING)
def test_no_text_controls_a_terminal(text: str) -> None:
    shown = Text.from_markup(escape.terminal(text + "\x1b[2J\x1b]0;x\x07\u202eabc\x9b1m"))
    assert not [c for c in shown.plain if c != "\n" and unicodedata.category(c) in ("Cc", "Zl", "Zp")]
    assert not shown.spans
    assert not set(shown.plain) & set("\u202e\u2066\u200f")
    assert shown.plain.count("\n") == text.count("\n")


def test_a_terminal_shows_plain_text_as_it_is() -> None:
    assert Text.from_markup(escape.terminal("kv heads=2 [b] über\nline 2")).plain == "kv heads=2 [b] über\nline 2"


INVISIBLE = [
    chr(code)
    for code in range(0x110000)
    if unicodedata.category(chr(code)) in ("Cc", "Cf")
    if code not in (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440))
]
"""Control and format characters, without those that have a shape: Arabic signs before numbers, joined hieroglyphs."""


@pytest.mark.parametrize(
    "show", [escape.line, escape.lines, escape.terminal, escape.html, escape.markdown, escape.latex]
)
def test_characters_without_a_shape_are_never_shown(show: Callable[[str], str]) -> None:
    """ANSI sequences, bidi controls, zero-width characters, soft hyphens, tags, fillers and variants."""
    others = ["\u034f", "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\ufe00", "\ufe0f", "\U000e0100"]
    for character in [*INVISIBLE, *others]:
        if character != "\n":
            assert character not in show(f"a{character}b"), f"U+{ord(character):04X}"
    assert show("a\u200b\u2060b\ufeff") == show("ab")
    assert "\x1b" not in show("\x1b[31mred\x1b[0m \x9b2J \x1b]8;;http://x\x07")


@pytest.mark.parametrize("text", ["Prüfung", "日本", "שלום", "हिन्दी", "한국어", "😀", "ﬁ", "a\u0301", "naïve “x”"])
def test_all_other_characters_stay(text: str) -> None:
    assert escape.line(text) == text
