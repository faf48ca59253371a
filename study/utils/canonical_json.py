"""Canonical JSON: equal data give equal text, so that text can be hashed and compared."""

import json
from typing import Any

_STRICT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, ASCII. Raises ValueError for NaN and infinities, TypeError for data that JSON lacks."""
    return _STRICT.encode(value)
