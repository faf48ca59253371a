"""Keeps passwords out of whatever is shown, logged or stored."""

import re

# up to the last @, for passwords may hold one, and a slash where SQLAlchemy reads them: rather too much than too little
_USER = re.compile(r"(?<=://)(?:[^\s'\"/@:]*:[^\s'\"]*@|[^\s'\"/]*@)")
_NAMED = re.compile(r"(?i)\b([\w-]*(?:password|passwd|secret|token|access_?key|signature|credential)[\w-]*=)[^&\s'\"]+")


def masked(text: str) -> str:
    """The text with user names and passwords in its addresses, and values of secret parameters, as `***`."""
    return _NAMED.sub(r"\1***", _USER.sub("***@", text))
