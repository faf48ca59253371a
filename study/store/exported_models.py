"""Size, latency and accuracy of exported models: STORE/device/KEY.json."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from study.design.stages import Stage
from study.store.results import Store
from study.utils import json_text
from study.utils.errors import Advice, StudyError
from study.utils.records import from_record
from study.vit.subject import Form


@dataclass(frozen=True)
class Measurement:
    """A model as ONNX in float32 and int8. The int8 file is kept if it loses at most `tolerance` validation accuracy
    (0 to 1)."""

    fp32: Form
    int8: Form
    tolerance: float
    provenance: Mapping[str, Any] = field(default_factory=dict)  # commit, device, versions, threads, times

    @property
    def int8_kept(self) -> bool:
        """Whether the loss of accuracy by int8 is within the tolerance."""
        return self.fp32.val_accuracy - self.int8.val_accuracy <= self.tolerance + 1e-12


def write(store: Store, stage: Stage, measurement: Measurement) -> None:
    """Store a stage's measurement, replacing an earlier one. Raises StoreError."""
    store.write(_path(stage), (json.dumps(asdict(measurement), indent=1, sort_keys=True) + "\n").encode())


def read(store: Store, stage: Stage) -> Measurement | None:
    """A stage's measurement, or None. Raises StudyError if the record is damaged, and StoreError."""
    data = store.read(_path(stage))
    if data is None:
        return None
    try:
        found = json_text.parse(data)
        forms = {name: from_record(Form, found[name]) for name in ("fp32", "int8")}
        return from_record(Measurement, {**found, **forms})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        path = store.storage.location(_path(stage))
        raise StudyError(f"{path} cannot be read ({error}); remove it", Advice("to measure again", "export")) from None


def keys(store: Store) -> frozenset[str]:
    """The keys of all stages with a measurement. Raises StoreError."""
    return frozenset(name.removesuffix(".json") for name in store.list_files("device"))


def _path(stage: Stage) -> str:
    return f"device/{stage.key}.json"
