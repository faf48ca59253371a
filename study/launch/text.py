"""Text of the files: YAML from plain data, shell assignments from words. Nothing here is a template."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and a value used twice in full both times."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(comment: str, *documents: Any) -> str:
    """YAML documents under a comment. Only plain data can be written: anything else raises."""
    body = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"# {comment}\n\n{body}"


def command(words: Iterable[str]) -> str:
    """Words as one shell command, each quoted where it needs to be."""
    return shlex.join(words)


def assignments(values: Mapping[str, str | Sequence[str]]) -> str:
    """Shell variables: text as text, a list as an array with one option to a line."""
    return "".join(
        f"{name}={shlex.quote(value)}\n" if isinstance(value, str) else f"{name}=(\n{_lines(value)})\n"
        for name, value in values.items()
    )


def _lines(words: Sequence[str]) -> str:
    text = ""
    for word in words:
        starts = not text or word.startswith("-")
        text += ("\n  " if text and starts else "  " if starts else " ") + shlex.quote(word)
    return text + "\n"
