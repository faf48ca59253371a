"""What finished models cost on a device, noted beside the results they belong to: STORE/device/KEY.json."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from study.design.stages import Stage
from study.store.results import Store
from study.utils.errors import StudyError
from study.vit.subject import Form


@dataclass(frozen=True)
class Footprint:
    """A model as ONNX, in float32 and with int8 weights; `tolerance` is the validation accuracy int8 may lose."""

    fp32: Form
    int8: Form
    tolerance: float
    provenance: Mapping[str, Any] = field(default_factory=dict)  # commit, device, versions, threads, times

    @property
    def int8_kept(self) -> bool:
        """Whether the int8 form keeps its accuracy."""
        return self.fp32.val_accuracy - self.int8.val_accuracy <= self.tolerance + 1e-12


def write(store: Store, stage: Stage, footprint: Footprint) -> None:
    """Note a stage's footprint, in place of an earlier one. Raises StoreError."""
    store.note(_path(stage), (json.dumps(asdict(footprint), indent=1, sort_keys=True) + "\n").encode())


def find(store: Store, stage: Stage) -> Footprint | None:
    """The footprint noted of a stage, None where there is none. Raises StudyError where it cannot be read."""
    data = store.noted(_path(stage))
    if data is None:
        return None
    try:
        found = json.loads(data)
        return Footprint(**{**found, "fp32": Form(**found["fp32"]), "int8": Form(**found["int8"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        place = store.storage.place_of(_path(stage))
        raise StudyError(f"{place} cannot be read ({error}); remove it and run `study export` again") from None


def noted(store: Store) -> frozenset[str]:
    """The keys of the stages that have a note. Raises StoreError."""
    return frozenset(name.removesuffix(".json") for name in store.listed("device"))


def _path(stage: Stage) -> str:
    return f"device/{stage.key}.json"
