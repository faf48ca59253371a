"""The kinds of claims, one per file. To add one: a file here with a KIND, and its name in `_FILES`."""

from importlib import import_module

from study.design.claim_kinds.claim_kind import ClaimKind

_FILES = (
    "greater",
    "less",
    "equivalent",
    "non_inferior",
    "interaction",
)

_kinds: list[ClaimKind] = [import_module(f"{__name__}.{name}").KIND for name in _FILES]
CLAIM_KINDS: dict[str, ClaimKind] = {kind.name: kind for kind in _kinds}
