"""Finished models as two files: `model.safetensors` and `config.json`.

    import study
    model = study.load("3f2a90")  # a stage's key or its first digits, an MLflow run, a folder or its address
    logits = model(images)

A model is also one of the Hugging Face Hub's: `model.push_to_hub("NAME/MODEL")`, `Model.from_pretrained("NAME/MODEL")`.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from string import Template
from typing import Any

import safetensors.torch
from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from pydantic import ValidationError
from safetensors import SafetensorError

from study.utils.errors import StudyError
from study.vit import settings
from study.vit.models.predictor import Predictor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CHECKSUMS = "checksums.json"  # of a stored stage's files


class Model(
    Predictor,
    ModelHubMixin,
    library_name="lightweight-vit-study",
    tags=["image-classification", "vision-transformer", "mixture-of-experts"],
    paper_url="https://arxiv.org/abs/2407.17783",
):
    """A finished model: a `Predictor` that the Hugging Face Hub takes and gives (`save_pretrained`, `push_to_hub`,
    `from_pretrained`, as the Hub's own documentation has them)."""

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self, save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **_: Any,
    ) -> "Model":
        if Path(model_id).is_dir():
            return load_folder(Path(model_id))
        folder = snapshot_download(
            model_id,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            allow_patterns=[WEIGHTS, CONFIG],
        )
        return load_folder(Path(folder))

    def generate_model_card(self, *_: Any, **__: Any) -> ModelCard:
        """What the model is, how big, what it reads, and how to load it."""
        return ModelCard(card(self))


def load_folder(folder: Path) -> Model:
    """The model in a folder that holds `model.safetensors` and `config.json`, in evaluation mode on the CPU.

    Raises StudyError where there is none, or where the weights do not have the checksum that the folder records.
    """
    described = _described(folder / CONFIG)
    path = folder / WEIGHTS
    try:
        weights = path.read_bytes()
        _check(weights, folder)
        model = Model(described["encoder"], described["num_classes"], described["normalization"])
        model.model.load_state_dict(safetensors.torch.load(weights))
    except OSError as error:
        raise StudyError(f"{path}: the weights cannot be read ({error.strerror})") from error
    except (SafetensorError, RuntimeError) as error:
        raise StudyError(f"{path}: not the weights of the model that {CONFIG} describes: {error}") from error
    return model.eval()


def _check(weights: bytes, folder: Path) -> None:
    """A stored stage's folder says which weights it was written with; others say nothing."""
    with contextlib.suppress(FileNotFoundError):
        written = json.loads((folder / CHECKSUMS).read_text()).get(WEIGHTS)
        if hashlib.sha256(weights).hexdigest() != written:
            raise StudyError(f"{folder / WEIGHTS}: these weights do not have the checksum they were stored with")


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


CARD = Template("""\
---
library_name: lightweight-vit-study
license: mit
tags: [image-classification, vision-transformer, mixture-of-experts, model_hub_mixin]
---
# Lightweight vision transformer, $kind

After Tan, *How Lightweight Can A Vision Transformer Be* (arXiv 2407.17783): experts that share projections, grouped
query attention, widths that shrink with depth.

- $params parameters; width $width, depth $depth, experts $experts
- reads images of $size x $size pixels, $channels channel(s): uint8, or floats from 0 to 1
- gives $gives

```python
from study.vit.export.pretrained import Model

model = Model.from_pretrained("NAME/MODEL")  # or a folder
output = model(images)
```
""")


def card(predictor: Predictor) -> str:
    """A model card in Markdown, as the Hub shows it."""
    shape, classes = predictor.encoder_config, predictor.num_classes
    return CARD.substitute(
        kind="encoder" if classes is None else f"{classes} classes",
        params=f"{sum(parameter.numel() for parameter in predictor.parameters()):,}",
        width=shape.width,
        depth=shape.depth,
        experts="-".join(str(count) for count in shape.experts_by_depth),
        size=shape.image_size,
        channels=shape.channels,
        gives=f"features of width {shape.width}" if classes is None else f"logits of {classes} classes",
    )


def _described(path: Path) -> dict[str, Any]:
    """What config.json says: encoder, num_classes (None for an encoder without a head), normalization."""
    try:
        raw = json.loads(path.read_text())
        encoder = settings.Encoder.model_validate(raw["encoder"])
        channels = {name: [float(value) for value in raw["normalization"][name]] for name in ("mean", "std")}
    except OSError as error:
        raise StudyError(
            f"{path}: no model is stored here ({error.strerror}); give a folder that holds {CONFIG} and {WEIGHTS}"
        ) from error
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: does not describe a model: {error!r}") from error
    return {"encoder": encoder, "num_classes": raw.get("num_classes"), "normalization": channels}
