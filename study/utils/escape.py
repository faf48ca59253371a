"""Escapes untrusted text (names, questions, reasons), so that it is shown literally: one function per markup language.

Every function takes any text, and all but two return a single line. All such text in a report, and on a terminal, must
pass through one of them.
"""

import html as _html
import re
import unicodedata

import rich.markup

# Jupyter and code-hosting sites render $...$ and \(...\) as formulas, in HTML too. They match a pair of delimiters
# within one text node, so a delimiter in an element of its own is not matched.
_FORMULA = re.compile(r"[$\\]")
_BIDI = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)}


def line(text: str) -> str:
    """The text on one line: white space is collapsed, control and bidi characters are removed."""
    return re.sub(" +", " ", "".join(_printable(character) for character in text)).strip(" ")


def terminal(text: str) -> str:
    """For a terminal, as rich's markup: no character of the text moves the cursor, changes colours or reverses text.

    Unlike the other functions, it keeps line breaks.
    """
    return rich.markup.escape("\n".join("".join(map(_printable, row)) for row in text.split("\n")))


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
    lines = "\n".join("".join(_printable(c) for c in row) for row in text.split("\n"))
    longest = max((len(run) for run in re.findall(r"`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{lines}\n{fence}"


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
    return "" if character in _BIDI else character


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
