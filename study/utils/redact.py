"""Masks passwords in everything that is shown, logged or stored."""

import re

# Up to the last @, which passwords may contain; SQLAlchemy accepts a slash, too. Masks too much rather than too little.
_USER = re.compile(r"(?<=://)(?:[^\s'\"/@:]*:[^\s'\"]*@|[^\s'\"/]*@)")
# A name that contains one of these words, or has one of the short ones as a part of its own: `pwd`, `db_pass`.
_LONG = r"[\w-]*(?:password|passwd|passphrase|secret|token|access[_-]?key|api[_-]?key|signature|credential)[\w-]*"
_SHORT = r"(?:[\w-]*[_-])?(?:pwd|pass|sig|auth|authorization)"
_NAME = rf"(?<![\w-])(?i:{_LONG}|{_SHORT})"
_ASSIGNED = re.compile(rf"({_NAME}=)[^&\s'\"]+")
_QUOTED = re.compile(rf"({_NAME}(['\"]?)\s*[:=]\s*(['\"]))(?:(?!\3).)+", re.DOTALL)  # JSON, Python, YAML, TOML
_HEADER = re.compile(r"(?i)(\b(?:bearer|authorization:\s*\w+)\s+)[\w.~+/=-]{8,}")


def masked(text: str) -> str:
    """The text with `***` for user names and passwords in URLs, the values of secret parameters, and bearer tokens."""
    text = _QUOTED.sub(r"\1***", _ASSIGNED.sub(r"\1***", _USER.sub("***@", text)))
    return _HEADER.sub(r"\1***", text)
