"""Standard output and error for text of any kind: characters that their encoding lacks are replaced.

Grids and file names contain any character, but the encoding of a terminal or a log may be Latin-1 or ASCII.
"""

import codecs
import io
import sys

_HANDLER = "study.plain"  # the name under which Python knows the replacement
_PLAIN = {
    "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MULTIPLICATION SIGN}": "x", "\N{PLUS-MINUS SIGN}": "+-", "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    **dict(zip("▁▂▃▄▅▆▇█", "._-~=+*#", strict=True)),  # the bars of sparklines
}  # fmt: skip


def accept_any_text() -> None:
    """Make standard output and error replace what their encoding lacks, instead of raising UnicodeEncodeError."""
    codecs.register_error(_HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not a replacement without an encoding, as in some tests
            stream.reconfigure(errors=_HANDLER)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    """Typographic characters in ASCII, all others escaped: `fl\\xfcgel`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    if 0x2800 <= ord(character) <= 0x28FF:  # Braille patterns, of which rich's spinners are made
        return "*"
    if character.isspace():  # no-break and thin spaces
        return " "
    return _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
