"""Generates YAML from plain data and shell assignments from words. There are no templates."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

PRIVATE_TOKEN = "chmod 700 ~/.ray && chmod 600 ~/.ray/auth_token"


class _Dumper(yaml.SafeDumper):
    """Writes multi-line text as a block, and repeated values in full instead of as aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(comment: str, *documents: Any) -> str:
    """YAML documents after a comment. Raises yaml.YAMLError for anything but plain data."""
    body = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"# {comment}\n\n{body}"


def generate_token(ray: str = "ray") -> str:
    """Commands that write Ray's token; no other user can read it at any time."""
    return f"(umask 077; {ray} get-auth-token --generate >/dev/null)\n{PRIVATE_TOKEN}"


def command(words: Iterable[str]) -> str:
    """Words as one shell command, each quoted if necessary."""
    return shlex.join(words)


def assignments(values: Mapping[str, str | Sequence[str]]) -> str:
    """Shell variables: a string for text, an array with one option per line for a list."""
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
