"""Escapes untrusted text (names, questions, reasons), so that it is shown literally: one function per markup language.

Every function takes any text, and all but three return a single line. All such text in a report, on a terminal, and in
MLflow must pass through one of them.
"""

import html as _html
import re
import unicodedata

import rich.markup

# Characters without a shape of their own: controls, zero-width characters, soft hyphens, directions of text, fillers
# and variants. They could hide text, let two names look the same, or show text in another order.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Jupyter and code-hosting sites render $...$ and \(...\) as formulas, in HTML too. They match a pair of delimiters
# within one text node, so a delimiter in an element of its own is not matched.
_FORMULA = re.compile(r"[$\\]")


def line(text: str) -> str:
    """The text on one line: white space is collapsed, control and invisible characters are removed."""
    return re.sub(" +", " ", "".join(_printable(character) for character in text)).strip(" ")


def appearance(text: str) -> str:
    """Equal for names that look the same: without invisible characters, accents in one way."""
    return unicodedata.normalize("NFC", line(text))


def lines(text: str) -> str:
    """As `line`, with line breaks and repeated spaces."""
    return "\n".join("".join(map(_printable, row)) for row in text.split("\n"))


def terminal(text: str) -> str:
    """For a terminal, as rich's markup: no character moves the cursor, changes colours, or hides or reverses text.

    It keeps line breaks.
    """
    return rich.markup.escape(lines(text))


def html(text: str) -> str:
    """For HTML text content; not for attributes, since the result may contain elements."""
    return _FORMULA.sub(lambda found: f"<span>{found[0]}</span>", _html.escape(line(text)))


def markdown(text: str) -> str:
    """For Markdown (CommonMark, GitHub's, Jupyter's), within a paragraph, heading, list or table.

    Characters that could open markup are written as character references, which never do.
    """
    shown = _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", line(text))
    shown = _LIST.sub(lambda found: f"{found[1]}&#{ord(found[2])};", shown)
    return _MARKDOWN_FORMULA.sub(lambda found: f"<span>{found[0]}</span>", shown)


def code_block(text: str, language: str = "") -> str:
    """A fenced Markdown block; the fence is longer than any run of backticks in the text. Line breaks are kept."""
    shown = lines(text)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def latex(text: str) -> str:
    """For LaTeX text. Characters missing from pdfLaTeX's fonts are written as code points, so every table compiles."""
    parts = re.split("(?<=-)(?=-)", unicodedata.normalize("NFC", line(text)))
    return "{}".join("".join(map(_latex_character, part)) for part in parts)  # LaTeX would set two hyphens as a dash


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    return _INVISIBLE.sub("", character)


# Characters that can open markup anywhere in a line: emphasis, links, code, HTML, tables, formulas, headings, mentions;
# a colon before a letter or slash (emoji short names, bare links); the dot of a bare www link.
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>&$|~#!^@\"]|:(?=[\w/+-])|(?<=www)\.", re.IGNORECASE)
_LIST = re.compile(r"^(\d*)([-+=.)])(?=[ =-]|$)")  # a list, rule or heading underline, at the start of a line
_MARKDOWN_FORMULA = re.compile(r"&#(?:36|92);")

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\texttt{\char34}", "'": "{'}", "`": "{`}", "[": "{[}", "]": "{]}",
    "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "\N{EM DASH}": "---", "…": r"\dots{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$", "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$",
    "→": r"$\rightarrow$", "·": r"$\cdot$", "°": r"$^\circ$", "ß": r"\ss{}", "“": "``", "”": "''",
    "\N{LEFT SINGLE QUOTATION MARK}": "`", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\u00a0": "~", "\u2009": r"\,", "\u202f": r"\,", "µ": r"$\mu$", "²": r"\texttwosuperior{}", "λ": r"$\lambda$",
    **{  # the other lowercase Greek letters have their Unicode names; omicron and final sigma have no command
        chr(code): f"$\\{unicodedata.name(chr(code)).split()[-1].lower()}$"
        for code in range(0x3B1, 0x3CA)
        if code not in (0x3BB, 0x3BF, 0x3C2)
    },
    **{letter: f"$\\{name}$" for letter, name in zip(
        "ΓΔΘΛΞΠΣΥΦΨΩ",
        ("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"),
        strict=True,
    )},
}  # fmt: skip
_ACCENTS = {
    "\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0304": r"\=", "\u0306": r"\u",
    "\u0307": r"\.", "\u0308": r'\"', "\u030a": r"\r", "\u030b": r"\H", "\u030c": r"\v", "\u0327": r"\c",
}  # fmt: skip


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii():
        return character
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f"{_ACCENTS[marks[0]]}{{{base}}}"
    return rf"\texttt{{U+{ord(character):04X}}}"
