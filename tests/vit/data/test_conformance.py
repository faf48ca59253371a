"""Rules for every data set: those in the table, which a new one joins by its line there, and own data.

Data sets that are not part of a Python package are tested on request: those of the Hugging Face Hub with
STUDY_TEST_HUB=1 (missing ones are downloaded), and with STUDY_SHARED_DATA=FOLDER those that FOLDER/unpack.py writes as
Parquet files (`unpack.py NAME --to ELSEWHERE --sheets 1`).
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.data_samples import digits, save_images, save_table

from study.vit.data import Dataset, Split, describe, drawn_splits, load
from study.vit.data.catalogue import NAMED
from study.vit.data.hub import SETS

SHARED = ("cifar10", "cifar100", "mnist", "clothing64")
ABSENT = {
    **{name: "STUDY_TEST_HUB is not set" for name in SETS if "STUDY_TEST_HUB" not in os.environ},
    **{f"shared {name}": "STUDY_SHARED_DATA is not set" for name in SHARED if "STUDY_SHARED_DATA" not in os.environ},
}
ALL = [*NAMED, "parquet", "imagefolder", *(f"shared {name}" for name in SHARED)]


def _table(folder: Path) -> str:
    images, labels = digits()
    save_table(folder / "train.parquet", images[:150], labels[:150])
    return f"parquet:{save_table(folder / 'test.parquet', images[150:], labels[150:])}"


def _folders(folder: Path) -> str:
    return f"imagefolder:{save_images(folder, *digits())}"


def _unpacked(name: str, folder: Path) -> str:
    command = [f"{os.environ['STUDY_SHARED_DATA']}/unpack.py", name, "--to", str(folder), "--sheets", "1"]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return f"parquet:{folder}"


@pytest.fixture(scope="module", params=[which for which in ALL if which not in ABSENT])
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    which: str = request.param
    if which in NAMED:
        return which
    folder = tmp_path_factory.mktemp("own")
    if which in ("parquet", "imagefolder"):
        return _table(folder) if which == "parquet" else _folders(folder)
    return _unpacked(which.removeprefix("shared "), folder)


@pytest.mark.parametrize("absent", ABSENT)
def test_skipped(absent: str) -> None:
    pytest.skip(f"{absent}: {ABSENT[absent]}")


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests of a data set, so that it is decoded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache_folder(own_cache: Path, forget: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    forget()
    monkeypatch.setenv("STUDY_CACHE", str(own_cache))
    return own_cache / "data"


def parts(data: Dataset) -> dict[str, Split]:
    return {"train": data.train, "validation": data.validation, "test": data.test}


def test_shapes_and_types(name: str) -> None:
    data = load(name, 36)
    side = data.train.images.shape[-1]
    assert 1 <= side <= 36
    for part in parts(data).values():
        assert part.images.dtype == torch.uint8
        assert part.images.shape == (len(part), data.info.channels, side, side)
        assert part.images.is_contiguous()
    assert data.info.channels in (1, 3)


def test_labels_are_class_numbers_in_every_split(name: str) -> None:
    data = load(name, 36)
    for part in parts(data).values():
        if data.info.classes is None:
            assert part.labels is None
        else:
            assert part.labels is not None
            assert part.labels.dtype == torch.int64
            assert part.labels.shape == (len(part),)
            assert int(part.labels.min()) >= 0
            assert int(part.labels.max()) < data.info.classes
    if data.info.classes is not None:
        assert len(data.train.labels.unique()) == data.info.classes, "every class has training images"


def test_the_description_matches_the_data(name: str) -> None:
    info, data = describe(name), load(name, 1000)
    assert data.info.splits == {split: len(part) for split, part in parts(data).items()}
    assert info.splits in (None, data.info.splits)
    assert (info.image_size, info.channels, info.classes) == (
        data.info.image_size,
        data.info.channels,
        data.info.classes,
    )
    if info.image_size is not None:
        assert data.train.images.shape[-1] == info.image_size
    assert info.name == name
    assert all([info.description, info.source, info.licence])


def test_splits_that_the_data_do_not_give_can_be_drawn_anew(name: str) -> None:
    shares, fixed, drawn = drawn_splits(name), parts(load(name, 36)), parts(load(name, 36, "cpu", 7))
    total = sum(len(fixed[split]) for split in shares)
    for split, part in fixed.items():
        if split not in shares:
            assert torch.equal(part.images, drawn[split].images)
            continue
        assert len(part) == pytest.approx(shares[split] * total, abs=max(10, total / 50))
        assert len(drawn[split]) == pytest.approx(len(part), abs=max(10, total / 50)), "equal but for copies"
        assert set(contents(part)) != set(contents(drawn[split]))
    found = [set(contents(drawn[split])) for split in shares]
    assert sum(map(len, found)) == len(set().union(*found)), "no image is in two splits"


def contents(split: Split) -> list[bytes]:
    assert split.prints is not None
    return [row.numpy().tobytes() for row in split.prints]


def test_class_names_are_described_and_kept_in_the_cache(name: str, forget: Callable[[], None]) -> None:
    load(name, 36)
    forget()
    info, data = describe(name), load(name, 36)
    assert data.info.class_names == info.class_names
    assert info.class_names is None or len(set(info.class_names)) == info.classes
    ours = {"digits": "0", "photos": None, "parquet": "class 0", "imagefolder": "0"}
    assert (info.class_names or [None])[0] == ours.get(name.partition(":")[0], info.class_names and info.class_names[0])


def test_no_validation_or_test_image_is_trained_on(name: str) -> None:
    """Given splits may share images between train and test: CIFAR-100 has ten, so a few are tolerated."""
    data = load(name, 36)
    found = {split: {image.tobytes() for image in part.images.numpy()} for split, part in parts(data).items()}
    assert not found["train"] & found["validation"]
    assert len(found["train"] & found["test"]) <= len(data.test) // 500


def test_images_differ(name: str) -> None:
    data = load(name, 36)
    for part in (data.train, data.validation):
        assert len(part) >= 10
        images = part.images.float()
        assert images.std() > 10
        assert images.mean(0).std() > 1, "images differ at every position"
        assert images.amax() > 128


def test_reading_is_deterministic(
    name: str, forget: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Reading again, without the cache, and at another size: the same images in the same splits."""
    first = load(name, 36)
    forget()
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    again = load(name, 36)
    assert again.digest == first.digest
    smaller = load(name, 6)
    assert smaller.train.images.shape[2:] == (6, 6)
    assert smaller.info.splits == first.info.splits
    for split, part in parts(smaller).items():
        if part.labels is not None:
            assert torch.equal(part.labels, parts(first)[split].labels)
    assert first.info.classes is None or smaller.digest != first.digest


def test_digits_never_change() -> None:
    """Results on digits stay comparable over releases."""
    data = load("digits", 36)
    assert data.digest == "b2836c7feaf47e82ab14f7954075171d92c0bcf739dee35a374ddbea495d0267"
    assert data.train.images.flatten(1).unique(dim=0).shape[0] == len(data.train)
    assert sorted(data.train.images.unique().tolist()) == [(255 * value + 8) // 16 for value in range(17)]


def test_photos_by_hand() -> None:
    """A pixel of a crop of scale 4 is the mean of 4 x 4 pixels of the photograph; crops are 12 pixels apart."""
    from sklearn.datasets import load_sample_image

    from study.vit.data.photos import crops, windows

    photo = load_sample_image("china.jpg")
    found = windows(photo, scale=4, stride=12)
    rows, columns = (427 - 128) // 12 + 1, (640 - 128) // 12 + 1
    assert found.shape == (rows * columns, 3, 32, 32)
    square = photo[24 + 8 : 24 + 12, 36 + 20 : 36 + 24, 1].astype(int)  # third crop down, fourth across
    assert found[2 * columns + 3, 1, 2, 5] == (square.sum() + 8) // 16
    assert len(crops(photo * 0, 12)) == 0, "crops without contrast are left out"
