"""The example of each kind of cluster."""

from typing import Any

from study.launch.catalogue import KINDS, find

EXAMPLES: dict[str, dict[str, Any]] = {kind: dict(find(kind).example) for kind in KINDS}
