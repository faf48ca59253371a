"""Trained models are saved, loaded and pushed to the Hub; errors for folders without a valid model."""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.model_samples import with_large_weights

import study
from study.utils.errors import StudyError
from study.vit import settings
from study.vit.export.pretrained import Model, load_folder, save
from study.vit.models import Predictor

SMALL = settings.Encoder(image_size=6, width=12, depth=3, ffn_width_first=5, ffn_width_last=3)
NORMALIZATION = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}


def predictor(num_classes: int | None = 4, encoder: settings.Encoder = SMALL) -> Predictor:
    torch.manual_seed(0)
    return with_large_weights(Predictor(encoder, num_classes, NORMALIZATION)).float().eval()


@pytest.mark.parametrize("num_classes", [4, None])
@pytest.mark.parametrize("shared", ["both", "none"])
def test_a_loaded_model_equals_the_saved_one(tmp_path: Path, num_classes: int | None, shared: str) -> None:
    model = predictor(num_classes, SMALL.model_copy(update={"shared_projections": shared}))
    save(model, tmp_path / "new" / "folder")
    loaded = load_folder(tmp_path / "new" / "folder")
    images = torch.rand(3, 3, 6, 6)
    assert torch.equal(loaded(images), model(images))
    assert loaded(images).shape == (3, num_classes or 12)
    assert not loaded.training


def test_images_are_normalized_as_in_training() -> None:
    model = predictor()
    images = torch.randint(0, 256, (2, 3, 6, 6), dtype=torch.uint8)
    mean, std = (torch.tensor(NORMALIZATION[name]).view(3, 1, 1) for name in ("mean", "std"))
    expected = model.model((images / 255 - mean) / std).logits_BC
    torch.testing.assert_close(model(images), expected)
    torch.testing.assert_close(model(images / 255), expected)


def test_images_of_another_shape_are_rejected() -> None:
    with pytest.raises(StudyError, match=r"invalid image shape \(2, 1, 6, 6\): must be \(batch, 3, 6, 6\)"):
        predictor()(torch.rand(2, 1, 6, 6))


def test_floats_above_one_are_rejected() -> None:
    images = torch.randint(0, 256, (2, 3, 6, 6)).float()
    with pytest.raises(
        StudyError, match=r"invalid pixel value 25\d: floats must be from 0 to 1; divide by 255, or pass uint8"
    ):
        predictor()(images)
    assert predictor()(images / 255).shape == (2, 4)
    assert predictor()(torch.full((1, 3, 6, 6), 1.001)).shape == (1, 4)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"config\.json: model not found .*model\.safetensors"):
        load_folder(tmp_path / "nowhere")
    save(predictor(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(StudyError, match=r"model\.safetensors: cannot read the weights"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"encoder": {"depth": 0}}', '{"encoder": {}, "normalization": {"mean": [1], "std": "x"}}'],
)
def test_an_invalid_config(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(StudyError, match=r"config\.json: invalid model config"):
        load_folder(tmp_path)


def test_weights_of_another_model(tmp_path: Path) -> None:
    save(predictor(), tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**described, "num_classes": 5}))
    with pytest.raises(StudyError, match=r"model\.safetensors: weights do not match"):
        load_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(StudyError, match=r"model\.safetensors: weights do not match"):
        load_folder(tmp_path)


def test_a_folder_is_loaded_and_saved_through_the_hub_interface(tmp_path: Path) -> None:
    model = predictor()
    save(model, tmp_path / "one")
    loaded = Model.from_pretrained(tmp_path / "one")
    images = torch.rand(2, 3, 6, 6)
    assert torch.equal(loaded(images), model(images))
    assert not loaded.training
    loaded.save_pretrained(tmp_path / "two")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert torch.equal(study.load(tmp_path / "two")(images), model(images))
    card = (tmp_path / "two" / "README.md").read_text()
    assert "input: images of 6 x 6 pixels, 3 channels" in card
    assert "output: logits of 4 classes" in card
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in card


def test_pushing_uploads_the_three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub's client is replaced, so no network is used."""
    sent: dict[str, list[str]] = {}

    def create_repo(self: object, repo_id: str, **_: object) -> SimpleNamespace:
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self: object, *, repo_id: str, folder_path: Path, **_: object) -> str:
        sent[repo_id] = sorted(path.name for path in folder_path.iterdir())
        return "https://hub"

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", create_repo)
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", upload_folder)
    save(predictor(), tmp_path)
    assert load_folder(tmp_path).push_to_hub("somebody/something") == "https://hub"
    assert sent == {"somebody/something": ["README.md", "config.json", "model.safetensors"]}


def checked_folder(folder: Path) -> Path:
    """A saved model with the checksums of its files, as a stored stage has them."""
    save(predictor(), folder)
    files = ("config.json", "model.safetensors")
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    (folder / "checksums.json").write_text(json.dumps(sums))
    return folder


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("config.json", b"mean", b"mean"), ("config.json", b"0.5", b"0.6"), ("model.safetensors", b"F32", b"F16")],
)
def test_files_that_changed_after_they_were_stored(tmp_path: Path, name: str, old: bytes, new: bytes) -> None:
    path = checked_folder(tmp_path) / name
    assert load_folder(tmp_path)
    path.write_bytes(path.read_bytes().replace(old, new, 1) + b" ")
    with pytest.raises(StudyError, match=f"{re.escape(name)}: checksum mismatch: the file has changed"):
        load_folder(tmp_path)


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000])
def test_damaged_checksums(tmp_path: Path, damaged: bytes) -> None:
    (checked_folder(tmp_path) / "checksums.json").write_bytes(damaged)
    with pytest.raises(StudyError, match=r"checksums\.json: cannot be read|checksum mismatch"):
        load_folder(tmp_path)
