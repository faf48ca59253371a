"""Canonical JSON: equal data give equal text, so that text can be hashed and compared."""

import json
from typing import Any

_ENCODERS = {
    allow_nan: json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=allow_nan)
    for allow_nan in (False, True)
}


def canonical_json(value: Any, *, allow_nan: bool = False) -> str:
    """Sorted keys, no spaces, ASCII.

    Raises TypeError for data that JSON lacks, and ValueError for NaN and infinities unless `allow_nan`, which is for
    data that are not validated yet.
    """
    return _ENCODERS[allow_nan].encode(value)
