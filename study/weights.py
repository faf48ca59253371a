"""Finished models as two files: `model.safetensors` and `config.json`.

    from study.weights import load
    model = load("path/to/folder")
    logits = model(images)

The folder is one of the store's (`.study/finetune/KEY`, `s3://BUCKET/STORE/finetune/KEY`), a copy of it, or one written
by `save`: it can be put on the Hugging Face Hub as it is.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError

from study import config
from study.errors import StudyError
from study.models.predictor import Predictor
from study.storage import open_storage
from study.storage.address import is_address

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def load(folder: str | Path) -> Predictor:
    """The model stored in `folder`, in evaluation mode on the CPU. Raises StudyError where it is none."""
    if is_address(folder):
        with _fetched(str(folder)) as copy:
            return load(copy)
    folder = Path(folder)
    described = _described(folder / CONFIG)
    path = folder / WEIGHTS
    try:
        predictor = Predictor(described["encoder"], described["num_classes"], described["normalization"])
        predictor.model.load_state_dict(safetensors.torch.load(path.read_bytes()))
    except OSError as error:
        raise StudyError(f"{path}: the weights cannot be read ({error.strerror})") from error
    except (SafetensorError, RuntimeError) as error:
        raise StudyError(f"{path}: not the weights of the model that {CONFIG} describes: {error}") from error
    return predictor.eval()


def save(predictor: Predictor, folder: str | Path) -> None:
    """Write the model to `folder`, which is made if need be. Raises OSError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "encoder": predictor.encoder_config.model_dump(mode="json"),
        "normalization": {
            "mean": predictor.mean_C11.flatten().tolist(),
            "std": predictor.std_C11.flatten().tolist(),
        },
        "num_classes": predictor.num_classes,
    }
    weights = {name: tensor.contiguous() for name, tensor in predictor.model.state_dict().items()}
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(weights))
    (folder / CONFIG).write_text(json.dumps(described, indent=2) + "\n")


@contextlib.contextmanager
def _fetched(address: str) -> Iterator[Path]:
    """A stored stage's folder on this machine, for as long as the context lasts."""
    store, _, folder = address.rstrip("/").rpartition("/")
    try:
        with open_storage(store).as_local(folder) as copy:
            yield copy
    except FileNotFoundError:
        raise StudyError(f"{address}: no model is stored here; give STORE/finetune/KEY") from None
    except OSError as error:
        raise StudyError(f"{address}: cannot be read: {error.strerror}") from None


def _described(path: Path) -> dict[str, Any]:
    """What config.json says: encoder, num_classes (None for an encoder without a head), normalization."""
    try:
        raw = json.loads(path.read_text())
        encoder = config.Encoder.model_validate(raw["encoder"])
        channels = {name: [float(value) for value in raw["normalization"][name]] for name in ("mean", "std")}
    except OSError as error:
        raise StudyError(
            f"{path}: no model is stored here ({error.strerror}); give a folder that holds {CONFIG} and {WEIGHTS}"
        ) from error
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: does not describe a model: {error!r}") from error
    return {"encoder": encoder, "num_classes": raw.get("num_classes"), "normalization": channels}
