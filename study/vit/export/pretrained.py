"""Trained models as two files: `model.safetensors` and `config.json`.

    import study
    model = study.load("3f2a90")  # a stage's key or a prefix of it, an MLflow run ID, a folder or its URL
    logits = model(images)

With the Hugging Face Hub: `model.push_to_hub("NAME/MODEL")`, `Model.from_pretrained("NAME/MODEL")`.
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
from study.utils.text import plural
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
    """A trained `Predictor` with the interface of Hugging Face Hub models: `save_pretrained`, `push_to_hub`,
    `from_pretrained` (see `huggingface_hub.ModelHubMixin`)."""

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
        """Called by the Hub: architecture, size, input, output and usage."""
        return ModelCard(card(self))


def load_folder(folder: Path) -> Model:
    """Load a model from a folder with `model.safetensors` and `config.json`; in evaluation mode, on the CPU.

    Raises StudyError if a file is missing or invalid, or if the checksum recorded in the folder does not match.
    """
    config = _read_config(folder / CONFIG)
    path = folder / WEIGHTS
    try:
        weights = path.read_bytes()
        _check(weights, folder)
        model = Model(config["encoder"], config["num_classes"], config["normalization"])
        model.model.load_state_dict(safetensors.torch.load(weights))
    except OSError as error:
        raise StudyError(f"{path}: cannot read the weights ({error.strerror})") from error
    except (SafetensorError, RuntimeError) as error:
        raise StudyError(f"{path}: weights do not match {CONFIG}: {error}") from error
    return model.eval()


def _check(weights: bytes, folder: Path) -> None:
    """Verify the SHA-256 of the weights if the folder has `checksums.json`, as those of stored stages do."""
    with contextlib.suppress(FileNotFoundError):
        expected = json.loads((folder / CHECKSUMS).read_text()).get(WEIGHTS)
        if hashlib.sha256(weights).hexdigest() != expected:
            raise StudyError(f"{folder / WEIGHTS}: checksum mismatch: the file has changed since it was stored")


def save(predictor: Predictor, folder: str | Path) -> None:
    """Write `model.safetensors` and `config.json`, creating `folder` if necessary. Raises OSError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "encoder": predictor.encoder_config.model_dump(mode="json"),
        "normalization": {
            "mean": predictor.mean_C11.flatten().tolist(),
            "std": predictor.std_C11.flatten().tolist(),
        },
        "num_classes": predictor.num_classes,
    }
    weights = {name: tensor.contiguous() for name, tensor in predictor.model.state_dict().items()}
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(weights))
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


CARD = Template("""\
---
library_name: lightweight-vit-study
license: mit
tags: [image-classification, vision-transformer, mixture-of-experts, model_hub_mixin]
---
# Lightweight vision transformer, $kind

After Tan, *How Lightweight Can A Vision Transformer Be* (arXiv 2407.17783): experts that share projections, grouped
query attention, FFN widths that decrease with depth.

- $params parameters; width $width, depth $depth, experts $experts
- input: images of $size x $size pixels, $channels: uint8, or floats from 0 to 1
- output: $output

```python
from study.vit.export.pretrained import Model

model = Model.from_pretrained("NAME/MODEL")  # or a folder
output = model(images)
```
""")


def card(predictor: Predictor) -> str:
    """The model card in Markdown for the Hub."""
    shape, classes = predictor.encoder_config, predictor.num_classes
    return CARD.substitute(
        kind="encoder" if classes is None else plural(classes, "class"),
        params=f"{sum(parameter.numel() for parameter in predictor.parameters()):,}",
        width=shape.width,
        depth=shape.depth,
        experts="-".join(str(count) for count in shape.experts_by_depth),
        size=shape.image_size,
        channels=plural(shape.channels, "channel"),
        output=f"features of width {shape.width}" if classes is None else f"logits of {plural(classes, 'class')}",
    )


def _read_config(path: Path) -> dict[str, Any]:
    """Encoder, num_classes (None for an encoder without a head) and normalization."""
    try:
        raw = json.loads(path.read_text())
        encoder = settings.Encoder.model_validate(raw["encoder"])
        channels = {name: [float(value) for value in raw["normalization"][name]] for name in ("mean", "std")}
    except OSError as error:
        raise StudyError(
            f"{path}: model not found ({error.strerror}); give a folder that contains {CONFIG} and {WEIGHTS}"
        ) from error
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: invalid model config: {error!r}") from error
    return {"encoder": encoder, "num_classes": raw.get("num_classes"), "normalization": channels}
