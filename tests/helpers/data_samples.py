"""Small own data sets, made from scikit-learn's digits."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def encode(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    """An encoded image from pixels, (H, W) or (H, W, 3) uint8, or from a Pillow image."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, np.uint8))
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def digits(count: int = 200) -> tuple[list[bytes], list[int]]:
    """The first of scikit-learn's digits as 8 x 8 PNG files, and their classes."""
    from sklearn.datasets import load_digits

    values, classes = load_digits(return_X_y=True)
    return [encode((15 * value).reshape(8, 8)) for value in values[:count]], [int(c) for c in classes[:count]]


def save_table(
    file: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int] | None,
    image: str = "img",
    label: str = "label",
    classes: int = 10,
) -> Path:
    """Write a Parquet file with the Hub's schema, by `datasets`; returns its folder."""
    import datasets

    datasets.disable_progress_bars()
    columns: dict[str, Any] = {image: [{"bytes": data, "path": None} for data in images]}
    kinds: dict[str, Any] = {image: datasets.Image()}
    if labels is not None:
        columns[label] = list(labels)
        kinds[label] = datasets.ClassLabel(names=[f"class {number}" for number in range(classes)])
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(columns, features=datasets.Features(kinds)).to_parquet(file)
    return file.parent


def save_images(folder: Path, images: Sequence[bytes], labels: Sequence[object], ending: str = "png") -> Path:
    """Write each image to FOLDER/LABEL/NUMBER.png; returns FOLDER."""
    for number, (data, label) in enumerate(zip(images, labels, strict=True)):
        file = folder / str(label) / f"{number:04}.{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder
