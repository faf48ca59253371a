"""A loaded model predicts classes by name from image files, which it crops and resizes as training did."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.data_samples import digits, encode, save_images
from helpers.tiny_grid import TINY
from PIL import Image

import study
from study.design.stages import Stage, stages_of
from study.design.study import expand, load
from study.execution.run_stage import run_stage
from study.store.results import Store
from study.utils.errors import StudyError

IMAGES, LABELS = digits(300)
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

Kind = Callable[[bytes, int], bytes]


def grey(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def as_they_are(data: bytes, number: int) -> bytes:
    """8 x 8: enlarged on the device."""
    return data


def photographs(data: bytes, number: int) -> bytes:
    """Colour JPEG files of several sizes, not square."""
    shown = grey(data).resize((40 + number % 7, 90)).convert("RGB")
    return encode(shown, "JPEG")


def drawings(data: bytes, number: int) -> bytes:
    """Black on transparent ground."""
    ink = grey(data)
    return encode(Image.merge("LA", [Image.new("L", ink.size), ink]))


def scans(data: bytes, number: int) -> bytes:
    """12 bits; every second one is dark, so that a rule per image would differ."""
    values = np.asarray(grey(data)).astype(np.uint16) * (16 if number % 2 else 1)
    return encode(Image.fromarray(values))


def trained(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, channels: int = 1) -> tuple[Store, Stage, Path]:
    """A classifier of the tiny study, trained for two epochs on a folder of images."""
    monkeypatch.setenv("STUDY_CACHE", str(folder / "cache"))
    data = folder / "data"
    for split, rows in (("train", range(200)), ("test", range(200, 300))):
        images = [kind(IMAGES[row], row) for row in rows]
        save_images(data / split, images, [NAMES[LABELS[row]] for row in rows])
    grid = yaml.safe_load(TINY)
    grid["baseline"]["encoder"] |= {"image_size": 12, "channels": channels}
    grid["baseline"]["pretrain"] = None
    grid["baseline"]["finetune"] = {"dataset": f"imagefolder:{data}", "epochs": 2, "train_images": 100}
    grid["factors"] = {"heads": {"path": "encoder.num_kv_heads", "levels": [1, 2]}}
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    store, stage = Store(folder / "store"), stages_of(expand(load(folder / "grid.yaml"))[0])[-1]
    store.prepare()
    run_stage(stage, store, "cpu", lambda _: None)
    return store, stage, data


@pytest.mark.parametrize(
    ("kind", "channels"),
    [(as_they_are, 1), (as_they_are, 3), (photographs, 3), (photographs, 1), (drawings, 1), (scans, 1)],
)
def test_the_accuracy_on_the_files_of_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, channels: int
) -> None:
    """It is that which training stored, and the pixels are those that training saw."""
    from study.vit.training.batches import prepare

    store, stage, data = trained(tmp_path, monkeypatch, kind, channels)
    model = study.load(stage.key, store=str(store.root))
    files = sorted((data / "test").glob("*/*"))
    prepared = prepare(stage.settings.recipe, stage.settings.encoder, torch.device("cpu"))
    seen = prepared.fitted(prepared.dataset.test)
    assert torch.equal(model.prepare(files), seen.images)
    hits = [found.label == file.parent.name for found, file in zip(model.predict(files), files, strict=True)]
    stored = json.loads((store.root / "finetune" / stage.key / "result.json").read_text())["metrics"]["test_accuracy"]
    assert np.mean(hits) == pytest.approx(stored, abs=1e-9)
    assert model.class_names == tuple(sorted(NAMES))


def test_what_predict_takes_and_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, stage, data = trained(tmp_path, monkeypatch, as_they_are)
    model = study.load(store.root / "finetune" / stage.key)
    file = next((data / "test" / "seven").iterdir())
    one = model.predict(file)
    with Image.open(file) as opened:
        assert model.predict(opened) == one
    assert model.predict(str(file)) == one
    assert [found.label for found in model.predict([file, str(file)])] == [one.label] * 2
    assert list(one.probabilities) == sorted(NAMES)
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert one.probability == max(one.probabilities.values()) == one.probabilities[one.label]
    assert [found.label for found in model.predict((file, str(file)))] == [one.label] * 2
    assert model.predict([]) == []
    with pytest.raises(StudyError, match="must be a path or a Pillow image, not ndarray"):
        model.predict(np.zeros((8, 8), np.uint8))
    (tmp_path / "text.png").write_text("text")
    for missing, pattern in (("nowhere.png", "cannot be read"), ("text.png", "is not an image")):
        with pytest.raises(StudyError, match=rf"{missing}.*{pattern}"):
            model.predict(tmp_path / missing)
    for wrong, pattern in (
        ("~nobody-of-this-name/a.png", "is no path"),
        ("a\0.png", "is no path"),
        (tmp_path, "cannot"),
    ):
        with pytest.raises(StudyError, match=pattern):
            model.predict(wrong)
    with pytest.raises(StudyError, match="the image has no pixels"):
        model.predict(Image.new("L", (0, 8)))
    model.save_pretrained(tmp_path / "copy")
    assert study.load(tmp_path / "copy").predict(file) == one, "names and sizes are saved with the model"


def test_models_of_earlier_versions_number_their_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, stage, data = trained(tmp_path, monkeypatch, as_they_are)
    study.load(stage.key, store=str(store.root)).save_pretrained(tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    assert config["images"] == {"side": 8, "channels": 1, "white": {}}
    kept = {name: value for name, value in config.items() if name not in ("class_names", "images")}
    (tmp_path / "old" / "config.json").write_text(json.dumps(kept))
    old = study.load(tmp_path / "old")
    found = old.predict(next((data / "test" / "seven").iterdir()))
    assert list(found.probabilities) == [str(number) for number in range(10)]
