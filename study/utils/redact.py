"""Masks passwords, tokens and keys in everything that is shown, logged or stored: too much rather than too little."""

import re

# Up to the last @, which passwords may contain; SQLAlchemy accepts a slash, too.
_USER = re.compile(r"(?<=://)(?:[^\s'\"/@:]{0,500}:[^\s'\"]{0,500}@|[^\s'\"/]{0,500}@)")

_START, _ANY = r"(?<![\w-])", r"[\w-]{0,100}"  # of a name; limits keep the time linear
_KEYS = r"(?:api|access|account|private|shared|secret|encryption|master|ssh)[_-]?key"
_SURE = rf"{_ANY}(?:password|passwd|passphrase|secret|credential|{_KEYS}){_ANY}|(?:{_ANY}[_-])?pwd"
# Words that also have other meanings: `class_token`, a function's signature, a pass over the data.
_OTHER = rf"{_ANY}(?:token|signature){_ANY}|(?:{_ANY}[_-])?(?:pass|sig|auth|authorization)"
_NAME = rf"{_START}(?i:{_SURE}|{_OTHER})"
_LIKELY = r"(?=[\w.~+/=-]*\d)(?=[\w.~+/=-]*[A-Za-z])[\w.~+/=-]{8,}"  # a value that is no word or number
_BARE = r"(?!['\"\\\[{*])\S+"

_PATTERNS = (
    # PASSWORD=..., ?sig=..., password%3D...
    (rf"({_NAME}(?:=|%3[Dd]))(?:(?!%26)[^&\s'\"])+", r"\1***"),
    (r"((?<=[?&#])(?i:key|code|jwt|sid|session|sessionid)=)[^&\s'\"]+", r"\1***"),
    # JSON, Python, TOML, YAML: 'name': 'value', name = "value", {\"name\": [b\"value\"]}
    (rf"({_NAME}(?:\\?['\"])?\s*[:=]\s*\[?\s*b?(\\?['\"]))(?:(?!\2)(?:\\[\s\S]|[\s\S]))+", r"\1***"),
    # YAML and headers without quotes, options of programs
    (rf"({_START}(?i:{_SURE})(?:\s*:\s*|[ \t]+=[ \t]*)(?:[-|>][+-]?\s+)?){_BARE}", r"\1***"),
    (rf"({_START}(?i:{_OTHER})(?:\s*:\s*|[ \t]+=[ \t]*)){_LIKELY}", r"\1***"),
    (rf"((?<![\w-])--(?i:{_SURE}|{_OTHER})[ \t]+)(?!-){_BARE}", r"\1***"),
    (
        r"(?i)(\b(?:proxy-)?authorization:[ \t]*(?:(?:bearer|basic|digest|token|negotiate)[ \t]+)?)(?!\*)[^\n]+",
        r"\1***",
    ),
    (r"(?i)(\b(?:set-)?cookie:[ \t]*)[^\n]+", r"\1***"),
    (r"(?i)(\bbearer\s+)[\w.~+/=-]{8,}", r"\1***"),
    # keys that are known by their form
    (rf"{_START}(?:AKIA|ASIA)[0-9A-Z]{{16}}(?!\w)", "***"),  # Amazon
    (rf"{_START}(?:AIza[\w-]{{30,}}|ya29\.[\w.-]{{10,}})", "***"),  # Google
    (rf"{_START}(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|sk-|dapi)(?=\w*\d|[A-Za-z]{{20}})[\w-]{{20,}}", "***"),
    (rf"{_START}eyJ[\w-]{{8,}}\.[\w-]{{8,}}(?:\.[\w-]*)?", "***"),  # JSON web tokens
    (r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:(?=-----END)|\Z)", r"\1***"),
)
_COMPILED = tuple(
    (re.compile(pattern, re.DOTALL if "(?!\\2)" in pattern else 0), shown) for pattern, shown in _PATTERNS
)


def masked(text: str) -> str:
    """The text with `***` for user names and passwords in URLs, the values of secret parameters, options, headers and
    settings, and keys that are known by their form."""
    text = _USER.sub("***@", text)
    for pattern, shown in _COMPILED:
        text = pattern.sub(shown, text)
    return text
