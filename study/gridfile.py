"""Reads a grid file: YAML, safely, keeping the line of every key so that an error can point at it.

Differences from plain PyYAML, each against a trap: only `true` and `false` are booleans (YAML 1.1 reads `off` and `no`
as False), `1e-3` is a number (PyYAML reads text), a key written twice is an error, and so is a file that its aliases
blow up.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from study.errors import StudyError

Keys = tuple[str | int, ...]  # where in the document: mapping keys and list positions

MAX_BYTES = 1_000_000
MAX_NODES = 200_000  # after aliases are followed


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core scalars instead of YAML 1.1's."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol


_NUMBER = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", rf"^(?:{_NUMBER}|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN))$", "-+.0123456789"),
):
    # PyYAML looks a scalar up by its first character, an empty one by the empty text (written \0 above)
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), [c.strip("\0") for c in _first])


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))  # PyYAML would read 010 as octal


def _construct_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    """As PyYAML's, but a key written twice is an error (PyYAML keeps the last and says nothing)."""
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key.start_mark)
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is written twice", key.start_mark)
        seen.add(key.value)
    return {str(key.value): loader.construct_object(value, deep=True) for key, value in node.value}


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


@dataclass(frozen=True)
class GridFile:
    """A grid file as read: plain data, and the line on which each of its keys stands."""

    path: Path
    data: dict[str, Any]
    lines: dict[Keys, int]

    def where(self, keys: Keys) -> str:
        """`file:line` of a key; of its nearest parent where the key itself is not written."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return f"{self.path}:{self.lines.get(keys, 1)}"

    def error(self, keys: Keys, message: str) -> StudyError:
        """An error that names file, line and key."""
        name = ".".join(str(key) for key in keys)
        return StudyError(f"{self.where(keys)}: {name}: {message}" if name else f"{self.where(keys)}: {message}")


def read(path: Path) -> GridFile:
    """Read a grid file. Raises StudyError for a file that is missing, unreadable, too large, or not a YAML mapping."""
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=_Loader)
        lines: dict[Keys, int] = {}
        if node is not None:
            _collect_lines(node, (), lines)
        data = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise StudyError(f"{path}:{line}: not valid YAML at column {column}: {error.problem or error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise StudyError(f"{path}:1: not valid YAML: {' '.join(str(error).split())}") from None
    except (_TooLargeError, RecursionError):
        raise StudyError(f"{path}:1: has more than {MAX_NODES:,} values once its aliases are followed") from None
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"a {type(data).__name__}"
        raise StudyError(
            f"{path}:1: a grid is a YAML mapping (study, baseline, factors, ...), but the file holds {found}"
        )
    return GridFile(path, data, lines)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StudyError(f"{path}: larger than {MAX_BYTES:,} bytes; a grid file is a short YAML text")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path}: no such grid file{_similar_files(path)}") from None
    except IsADirectoryError:
        raise StudyError(f"{path}: is a folder; name one grid file{_similar_files(path / 'x')}") from None
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from None


def _similar_files(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("grids")
    found = sorted(str(file) for file in folder.glob("*.y*ml"))
    return f"; {folder}/ has {', '.join(found)}" if found else ""


class _TooLargeError(Exception):
    pass


def _collect_lines(node: yaml.Node, keys: Keys, lines: dict[Keys, int]) -> None:
    if len(lines) > MAX_NODES:
        raise _TooLargeError
    lines.setdefault(keys, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[(*keys, str(key.value))] = key.start_mark.line + 1
            _collect_lines(value, (*keys, str(key.value)), lines)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _collect_lines(value, (*keys, position), lines)


def did_you_mean(word: object, possible: Iterable[str]) -> str:
    """What was possible instead of `word`, nearest first in mind: for the end of an error message."""
    names = list(possible)
    close = difflib.get_close_matches(str(word), names, n=1)
    return f"did you mean {close[0]!r}? Possible: {', '.join(names)}" if close else f"possible: {', '.join(names)}"
