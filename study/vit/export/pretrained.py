"""Trained models as two files: `model.safetensors` and `config.json`.

    import study
    model = study.load("3f2a90")  # a stage's key or a prefix of it, an MLflow run ID, a folder or its URL
    model.predict("photo.jpg").label  # also a Pillow image, or a list of these
    logits = model(images)  # tensors of the encoder's size; model.prepare makes them from files

With the Hugging Face Hub: `model.push_to_hub("NAME/MODEL")`, `Model.from_pretrained("NAME/MODEL")`.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any, overload

import safetensors.torch
import torch
from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from study.utils import json_text, regular_files
from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit import settings
from study.vit.export.preprocessing import ImageLike, Images, Preprocessing
from study.vit.models.predictor import Predictor
from study.vit.training.batches import EVALUATED_AT_ONCE

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CHECKSUMS = "checksums.json"  # of a stored stage's files


@dataclass(frozen=True)
class Prediction:
    """The classes of one image."""

    probabilities: dict[str, float]  # of each class by its name, or by its number if names are not recorded

    @property
    def label(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def probability(self) -> float:
        """That of `label`."""
        return self.probabilities[self.label]


class Model(
    Predictor,
    ModelHubMixin,
    library_name="lightweight-vit-study",
    tags=["image-classification", "vision-transformer", "mixture-of-experts"],
    paper_url="https://arxiv.org/abs/2407.17783",
):
    """A trained `Predictor` with the interface of Hugging Face Hub models: `save_pretrained`, `push_to_hub`,
    `from_pretrained` (see `huggingface_hub.ModelHubMixin`)."""

    class_names: tuple[str, ...] | None = None  # in the order of the logits; None: not recorded
    preprocessing = Preprocessing(None, None, {})

    def prepare(self, images: ImageLike | Images) -> Tensor:
        """uint8 images for `forward`, (batch, channels, size, size), cropped and resized as in training.

        images: paths, or Pillow images. Raises StudyError for a file that is missing or no image.
        """
        return self._prepare(_listed(images))

    def _prepare(self, images: Sequence[ImageLike]) -> Tensor:
        shape = self.encoder_config
        return self.preprocessing(images, shape.image_size, shape.channels)

    @overload
    def predict(self, images: ImageLike) -> Prediction: ...

    @overload
    def predict(self, images: Images) -> list[Prediction]: ...

    def predict(self, images: ImageLike | Images) -> Prediction | list[Prediction]:
        """The class of one image, or of each image of a list; images as for `prepare`.

        Raises StudyError as `prepare` does, and for an encoder without a classifier.
        """
        if self.num_classes is None:
            raise StudyError(
                "the model is an encoder and has no classes; call model(model.prepare(images)) for features"
            )
        names = self.class_names or tuple(str(number) for number in range(self.num_classes))
        given, device = _listed(images), self.mean_C11.device
        parts = [given[start : start + EVALUATED_AT_ONCE] for start in range(0, len(given), EVALUATED_AT_ONCE)]
        with torch.inference_mode():
            shares = [
                row.tolist() for part in parts for row in self(self._prepare(part).to(device)).softmax(dim=1).cpu()
            ]
        found = [Prediction(dict(zip(names, row, strict=True))) for row in shares]
        return found if isinstance(images, list | tuple) else found[0]

    def _save_pretrained(self, save_directory: Path) -> None:
        names = None if self.class_names is None else list(self.class_names)
        save(self, save_directory, {"class_names": names, "images": asdict(self.preprocessing)})

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


def _listed(images: ImageLike | Images) -> Sequence[ImageLike]:
    return images if isinstance(images, list | tuple) else [images]


def load_folder(folder: Path) -> Model:
    """Load a model from a folder with `model.safetensors` and `config.json`; in evaluation mode, on the CPU.

    Raises StudyError if a file is missing or invalid, or if a checksum recorded in the folder does not match.
    """
    config = _read_config(folder / CONFIG)
    path = folder / WEIGHTS
    try:
        _check(folder)
        model = Model(config["encoder"], config["num_classes"], config["normalization"])
        model.model.load_state_dict(safetensors.torch.load(regular_files.read(path)))
        model.class_names, model.preprocessing = config["class_names"], config["preprocessing"]
    except OSError as error:
        raise StudyError(f"{path}: cannot read the weights ({error.strerror})") from error
    except (SafetensorError, RuntimeError) as error:
        raise StudyError(f"{path}: weights do not match {CONFIG}: {error}") from error
    return model.eval()


def _check(folder: Path) -> None:
    """Verify the SHA-256 of both files if the folder has `checksums.json`, as those of stored stages do."""
    path = folder / CHECKSUMS
    if not os.path.lexists(path):
        return
    try:
        checksums = json_text.parse(regular_files.read(path))
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); the model cannot be verified") from None
    for name in (CONFIG, WEIGHTS):
        found = hashlib.sha256(regular_files.read(folder / name)).hexdigest()
        if not isinstance(checksums, dict) or checksums.get(name) != found:
            raise StudyError(f"{folder / name}: checksum mismatch: the file has changed since it was stored")


def save(predictor: Predictor, folder: str | Path, data: Mapping[str, Any] | None = None) -> None:
    """Write `model.safetensors` and `config.json`, creating `folder` if necessary. Raises OSError.

    data: class names and the images of the data set, as in `Dataset.facts`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "encoder": predictor.encoder_config.model_dump(mode="json"),
        "normalization": {
            "mean": predictor.mean_C11.flatten().tolist(),
            "std": predictor.std_C11.flatten().tolist(),
        },
        "num_classes": predictor.num_classes,
        **(data or {}),
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
model.predict("photo.jpg").label  # also a Pillow image, or a list
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
    """Encoder, num_classes (None for an encoder without a head), normalization, class names, and preprocessing.

    The last two are missing in models of earlier versions.
    """
    try:
        raw = json_text.parse(regular_files.read(path))
        encoder = settings.Encoder.model_validate(raw["encoder"])
        images = raw.get("images") or {}
        preprocessing = Preprocessing(images.get("side"), images.get("channels"), dict(images.get("white") or {}))
        names = None if raw.get("class_names") is None else tuple(str(name) for name in raw["class_names"])
        channels = {name: [float(value) for value in raw["normalization"][name]] for name in ("mean", "std")}
    except OSError as error:
        raise StudyError(
            f"{path}: model not found ({error.strerror}); give a folder that contains {CONFIG} and {WEIGHTS}"
        ) from error
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: invalid model config: {error!r}") from error
    return {
        "encoder": encoder,
        "num_classes": raw.get("num_classes"),
        "normalization": channels,
        "class_names": names,
        "preprocessing": preprocessing,
    }
