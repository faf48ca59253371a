"""Masks passwords in everything that is shown, logged or stored."""

import re

# Up to the last @, which passwords may contain; SQLAlchemy accepts a slash, too. Masks too much rather than too little.
_USER = re.compile(r"(?<=://)(?:[^\s'\"/@:]*:[^\s'\"]*@|[^\s'\"/]*@)")
_NAMED = re.compile(r"(?i)\b([\w-]*(?:password|passwd|secret|token|access_?key|signature|credential)[\w-]*=)[^&\s'\"]+")


def masked(text: str) -> str:
    """The text with `***` for user names and passwords in URLs and for the values of secret parameters."""
    return _NAMED.sub(r"\1***", _USER.sub("***@", text))
