"""When and where a stage was computed, as a line."""

from collections.abc import Iterator, Mapping
from typing import Any

from study.utils.text import minute

DIGITS = 12  # of commits and digests


def when_and_where(provenance: Mapping[str, Any]) -> str:
    """As `2026-01-02 03:04 to 2026-01-02 03:05 UTC on node-1 (NVIDIA H100, GPU 3 GPU-5f), commit 0123456789ab`.

    What was not recorded is left out.
    """
    return ", ".join(_parts({name: str(value) for name, value in provenance.items()})) or "time and place not recorded"


def _parts(known: Mapping[str, str]) -> Iterator[str]:
    times = [minute(known[name]) for name in ("started", "finished") if known.get(name)]
    device = ", ".join(filter(None, (known.get("device"), f"GPU {known['gpu']}" if known.get("gpu") else "")))
    host = known.get("host", "")
    place = f"{host} ({device})" if host and device else host or device
    time = f"{' to '.join(times)} UTC" if times else ""
    if here := " on ".join(filter(None, (time, place))):
        yield here
    for name in ("commit", "code"):
        if known.get(name):
            yield f"{name} {known[name][:DIGITS]}"
