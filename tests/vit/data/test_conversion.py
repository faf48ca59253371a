"""`data convert`: every format comes out pixel by pixel and label by label, or nothing is written."""

import gzip
import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.data_samples import encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from study.utils.errors import StudyError
from study.vit.data import convert, describe, load
from study.vit.data.converters import table

CLASSES = 4
COUNTS = {"train": 24, "validation": 8, "test": 12}
Sample = tuple[dict[str, Any], dict[str, Any], list[str]]  # images and labels of each split; class names


def sample(
    shape: tuple[int, ...], splits: tuple[str, ...] = ("train", "test")
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Random images, and labels of all classes."""
    draw = np.random.default_rng(0)
    images = {split: draw.integers(0, 256, (COUNTS[split], *shape), np.uint8) for split in splits}
    return images, {split: np.arange(COUNTS[split]) * 7 % CLASSES for split in splits}


NUMBERS = [str(number) for number in range(CLASSES)]


def medmnist(folder: Path) -> tuple[Path, Sample]:
    """RGB, labels as (N, 1), splits train, val, test."""
    images, labels = sample((9, 9, 3), ("train", "validation", "test"))
    words = {"train": "train", "validation": "val", "test": "test"}
    kept = {f"{words[split]}_images": part for split, part in images.items()}
    kept |= {f"{words[split]}_labels": part[:, None].astype(np.uint8) for split, part in labels.items()}
    np.savez(folder / "path.npz", **kept)
    return folder / "path.npz", (images, labels, NUMBERS)


def keras(folder: Path) -> tuple[Path, Sample]:
    images, labels = sample((8, 8))
    arrays = {f"{letter}_{split}": part[split] for split in images for letter, part in (("x", images), ("y", labels))}
    np.savez_compressed(folder / "mnist.npz", **arrays)
    return folder / "mnist.npz", (images, labels, NUMBERS)


def npy(folder: Path) -> tuple[Path, Sample]:
    """A pair of files, 16 bits, text labels."""
    images, labels = sample((8, 8), ("train",))
    images = {"train": images["train"].astype(np.uint16) * 257}
    np.save(folder / "images.npy", images["train"])
    np.save(folder / "labels.npy", np.array(["d", "a", "c", "b"])[labels["train"]])
    return folder, (images, {"train": np.array([3, 0, 2, 1])[labels["train"]]}, ["a", "b", "c", "d"])


def cifar_rows(images: Any) -> Any:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


class Python2(pickle._Pickler):  # type: ignore[name-defined]
    """Writes bytes and text as the strings of Python 2, in which the original files were made."""

    def text(self, value: str | bytes) -> None:
        data = value.encode() if isinstance(value, str) else value
        self.write(b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: text, str: text}  # type: ignore[attr-defined]


def python2(value: Any) -> bytes:
    buffer = io.BytesIO()
    Python2(buffer, 2).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")


def cifar10(folder: Path) -> tuple[Path, Sample]:
    """torchvision's root; files of Python 2."""
    images, labels = sample((32, 32, 3))
    images["train"], labels["train"] = images["train"][:20], labels["train"][:20]
    names = ["airplane", "bird", "cat", "dog"]
    place = folder / "cifar-10-batches-py"
    place.mkdir()
    (place / "batches.meta").write_bytes(python2({"label_names": names}))
    batches = {f"data_batch_{n + 1}": ("train", slice(4 * n, 4 * n + 4)) for n in range(5)}
    for file, (split, rows) in {**batches, "test_batch": ("test", slice(None))}.items():
        batch = {"data": cifar_rows(images[split][rows]), "labels": labels[split][rows].tolist(), "batch_label": "x"}
        (place / file).write_bytes(python2(batch))
    return folder, (images, labels, names)


def cifar100(folder: Path) -> tuple[Path, Sample]:
    """The folder itself; fine labels; a protocol of Python 3."""
    images, labels = sample((32, 32, 3))
    names = ["apple", "baby", "can", "dinosaur"]
    meta = {"fine_label_names": names, "coarse_label_names": ["all"]}
    (folder / "meta").write_bytes(pickle.dumps(meta, 4))
    for split, part in images.items():
        batch = {"data": cifar_rows(part), "fine_labels": labels[split].tolist(), "coarse_labels": [0] * len(part)}
        (folder / split).write_bytes(pickle.dumps(batch, 4))
    return folder, (images, labels, names)


def idx_bytes(array: Any) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def idx(folder: Path) -> tuple[Path, Sample]:
    """Packed training images, all others unpacked, in torchvision's place."""
    images, labels = sample((28, 28))
    place = folder / "MNIST" / "raw"
    place.mkdir(parents=True)
    for split, word in (("train", "train"), ("test", "t10k")):
        packed = gzip.compress(idx_bytes(images[split]))
        (place / f"{word}-images-idx3-ubyte.gz").write_bytes(packed)
        (place / f"{word}-labels-idx1-ubyte").write_bytes(idx_bytes(labels[split]))
    (place / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images["test"]))
    return folder, (images, labels, NUMBERS)


def saved(folder: Path) -> tuple[Path, Sample]:
    import datasets

    images, labels = sample((8, 8, 3), ("train", "validation", "test"))
    names = ["z", "y", "x", "w"]
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    datasets.disable_progress_bars()
    parts = {
        split: datasets.Dataset.from_dict(
            {"img": [{"bytes": encode(image), "path": None} for image in part], "label": labels[split]}, features
        )
        for split, part in images.items()
    }
    datasets.DatasetDict(parts).save_to_disk(folder / "kept")
    return folder / "kept", (images, labels, names)


def csv(folder: Path) -> tuple[Path, Sample]:
    """Text labels, a split column, rows of all splits mixed."""
    images, labels = sample((8, 8, 3), ("train", "validation", "test"))
    names, words = ["ant", "bee", "cat", "dog"], {"train": "Train", "validation": "val", "test": "test"}
    rows = []
    for row in range(24):
        for split in images:
            if row < COUNTS[split]:
                (folder / f"{split}{row}.png").write_bytes(encode(images[split][row]))
                rows.append(f'"{split}{row}.png",{names[labels[split][row]]},{words[split]},7')
    (folder / "all.csv").write_text("\ufeffpath,label,split,other\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return folder / "all.csv", (images, labels, names)


FORMATS = [medmnist, keras, npy, cifar10, cifar100, idx, saved, csv]


@pytest.mark.parametrize("make", FORMATS)
def test_pixels_labels_splits_and_names(make: Callable[[Path], tuple[Path, Sample]], tmp_path: Path) -> None:
    """The files are read by pyarrow and Pillow, in the order of the source, and by a study."""
    (tmp_path / "in").mkdir()
    source, (images, labels, names) = make(tmp_path / "in")
    counts = convert(source, tmp_path / "new" / "out")
    assert counts == {split: len(part) for split, part in images.items()}
    for split, part in images.items():
        rows = pq.read_table(tmp_path / "new" / "out" / f"{split}.parquet").to_pylist()
        for row, pixels, label in zip(rows, part, labels[split].tolist(), strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))), pixels)
            assert row["label"] == label
    info = describe(f"parquet:{tmp_path / 'new' / 'out'}")
    assert (info.classes, info.class_names) == (len(names), tuple(names))
    assert len(load(f"parquet:{tmp_path / 'new' / 'out'}", 32).train) > 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["out"], "no temporary files are left"


def test_every_format_is_tested() -> None:
    assert len(table()) == 5


def test_datasets_reads_the_files(tmp_path: Path) -> None:
    import datasets

    source, _ = medmnist(tmp_path)
    convert(source, tmp_path / "out")
    found = datasets.Dataset.from_parquet(str(tmp_path / "out" / "train.parquet"), cache_dir=str(tmp_path / "cache"))
    assert found.features["label"].names == NUMBERS
    assert found[0]["image"].size == (9, 9)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([(), (1,), (3,), (4,)])).flatmap(
        lambda s: arrays(np.uint8, (6, s[0] + 4, s[1] + 4, *s[2]))
    )
)
def test_any_images(pixels: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels, labels=[0, 1] * 3)
    convert(tmp_path / "a.npz", tmp_path / "a.parquet", overwrite=True)
    for row, image in zip(pq.read_table(tmp_path / "a.parquet").to_pylist(), pixels, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        np.testing.assert_array_equal(shown, image[..., 0] if image.shape[2:] == (1,) else image)


def test_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=sample((8, 8))[0]["train"])
    convert(tmp_path / "a.npz", tmp_path / "a.parquet")
    assert describe(f"parquet:{tmp_path / 'a.parquet'}").classes is None


def test_existing_output(tmp_path: Path) -> None:
    source, _ = medmnist(tmp_path)
    convert(source, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match=r"out exists; .*--overwrite"):
        convert(source, tmp_path / "out")
    (tmp_path / "two").mkdir()
    smaller, _ = keras(tmp_path / "two")
    convert(smaller, tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["notes.txt", "test.parquet", "train.parquet"]
    (tmp_path / "a.parquet").write_text("something")
    with pytest.raises(StudyError, match=r"a\.parquet exists"):
        convert(source, tmp_path / "a.parquet")
    with pytest.raises(StudyError, match="splits train, validation, test; give a folder instead of"):
        convert(source, tmp_path / "b.parquet")


class Harm:
    """Pickled, it writes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, protocol: int) -> None:
    source, _ = cifar100(tmp_path)
    (tmp_path / "train").write_bytes(pickle.dumps({"data": Harm(tmp_path / "harm")}, protocol))
    refused(source, tmp_path / "out", "train: refused to load")
    assert not (tmp_path / "harm").exists()


def test_a_pickle_may_not_reach_further_than_its_names(tmp_path: Path) -> None:
    """Names with dots, and codecs other than that of bytes."""
    source, _ = cifar100(tmp_path)
    for code in (b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.", b"c_codecs\nencode\n(Va\nVrot13\ntR."):
        (tmp_path / "meta").write_bytes(code)
        refused(source, tmp_path / "out", "meta: refused")


def refused(source: Path, output: Path, *patterns: str) -> None:
    """One message, and nothing is written."""
    before = sorted(source.parent.rglob("*"))
    for pattern in patterns:
        with pytest.raises(StudyError, match=pattern):
            convert(source, output)
    assert not output.exists()
    assert sorted(source.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("arrays", "pattern"),
    [
        ({"train_images": np.zeros((4, 8, 8, 8), np.uint8), "train_labels": [0, 1] * 2}, "images have the shape"),
        ({"train_images": np.zeros((4, 8, 8)), "train_labels": [0, 1] * 2}, "pixels have the type float64"),
        ({"train_images": np.zeros((4, 8, 8), np.uint8), "train_labels": np.eye(4)}, "labels have the shape"),
        ({"train_images": np.zeros((4, 8, 8), np.uint8), "train_labels": [0.5] * 4}, "labels have the type float64"),
        ({"train_images": np.zeros((4, 8, 8), np.uint8), "train_labels": [0]}, "1 label for 4 images"),
        ({"train_images": np.zeros((4, 8, 8), np.uint8), "test_labels": [0] * 4}, "expected are train_images"),
        ({"test_images": np.zeros((4, 8, 8), np.uint8)}, "no training images"),
        ({"images": np.zeros((4, 0, 8), np.uint8), "labels": [0, 1] * 2}, "images have the shape"),
        ({"images": np.uint8(3), "labels": np.int64(1)}, "images have the shape"),
        ({"a": np.zeros(3)}, "contains the arrays a; expected are"),
        ({"images": np.zeros((2, 8, 8), np.uint8), "x": np.zeros((2, 8, 8), np.uint8)}, "several arrays"),
        ({"images": np.array([{}]), "labels": [0]}, "cannot be read as arrays of numbers"),
    ],
)
def test_invalid_arrays(tmp_path: Path, arrays: dict[str, Any], pattern: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", tmp_path / "out", rf"a\.npz.* {pattern}|{pattern}")


def test_labels_that_train_does_not_have(tmp_path: Path) -> None:
    images, labels = sample((8, 8))
    np.savez(
        tmp_path / "a.npz",
        train_images=images["train"],
        train_labels=labels["train"],
        test_images=images["test"],
        test_labels=labels["test"] + 1,
    )
    refused(tmp_path / "a.npz", tmp_path / "out", "test: 3 of 12 labels are out of range")


def test_damaged_idx_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source, _ = idx(tmp_path / "in")
    file = source / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    refused(source, tmp_path / "out", "9,407 values, but its header states 9408")
    file.write_bytes(b"\0\0\x0d\x03" + content[4:])
    refused(source, tmp_path / "out", "is no IDX file of bytes in 3 dimensions")
    file.write_bytes(content)
    (file.parent / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bx")
    refused(source, tmp_path / "out", "cannot be unpacked")
    (file.parent / "train-images-idx3-ubyte.gz").unlink()
    refused(source, tmp_path / "out", "has labels of train, but no images")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("path,label\nnowhere.png,a\n", r"1 image not found: .*nowhere\.png"),
        ("label\na\n", "no column of paths"),
        ("path,label\n", "no rows"),
        ("path,label\none.png\n", "row 2: the number of values"),
        ("path,label,split\none.png,a,holdout\n", "row 2: unknown split 'holdout'"),
        ("path,label\none.png,\n", "empty text"),
        ("path,label\ntext.png,a\n", r"text\.png is not an image"),
        ("path,label\nempty.png,a\n", r"empty\.png is empty"),
        ("path,label\nhalf.png,a\n", r"half\.png cannot be decoded"),
        ("path;label\none.png;a\n", "separated by commas; its columns are path;label"),
        ("path,category\none.png,a\n", "no column of labels .*, but category: rename"),
        ("path,label,Label\none.png,a,b\n", "several columns 'label'"),
        ("", "no rows"),
    ],
)
def test_invalid_csv_files(tmp_path: Path, text: str, pattern: str) -> None:
    (tmp_path / "one.png").write_bytes(encode(np.zeros((8, 8))))
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "empty.png").touch()
    (tmp_path / "half.png").write_bytes(encode(np.random.default_rng(0).integers(0, 256, (64, 64)))[:-2000])
    (tmp_path / "a.csv").write_text(text)
    refused(tmp_path / "a.csv", tmp_path / "out", pattern)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["9", "10"], ("9", "10")),
        (["7", "007"], ("007", "7")),
        (["3", "٣"], ("3", "٣")),
        (["--5", "-5"], ("--5", "-5")),
        (["0", "-0"], ("-0", "0")),
    ],
)
def test_each_text_in_a_csv_file_is_a_class_of_its_own(tmp_path: Path, labels: list[str], names: Any) -> None:
    """Numbers in their order; numbers that are written differently stay different."""
    rows = [(f"{number}.png", labels[number % 2]) for number in range(10)]
    for file, _ in rows:
        (tmp_path / file).write_bytes(encode(np.zeros((8, 8))))
    (tmp_path / "a.CSV").write_text("File, Class\n" + "".join(f"{file}, {label}\n" for file, label in rows))
    convert(tmp_path / "a.CSV", tmp_path / "a.parquet")
    assert describe(f"parquet:{tmp_path / 'a.parquet'}").class_names == names


def test_the_byte_order_of_arrays(tmp_path: Path) -> None:
    pixels = np.arange(0, 6400, 10).reshape(10, 8, 8)
    for order in "<>":
        np.savez(tmp_path / f"{order}.npz", images=pixels.astype(f"{order}u2"), labels=np.arange(10) % 2)
        convert(tmp_path / f"{order}.npz", tmp_path / f"{order}.parquet")
    assert (tmp_path / "<.parquet").read_bytes() == (tmp_path / ">.parquet").read_bytes()


def test_two_names_of_one_split_of_a_saved_data_set(tmp_path: Path) -> None:
    import datasets

    part = datasets.Dataset.from_dict({"image": [Image.new("L", (8, 8))] * 4, "label": [0, 1] * 2})
    datasets.DatasetDict(train=part, valid=part, validation=part).save_to_disk(tmp_path / "in")
    refused(tmp_path / "in", tmp_path / "out", "several splits are validation: train, valid, validation")


def test_unknown_sources(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    refused(tmp_path / "in", tmp_path / "out", "not in a known format; expected is one of\n    CIFAR")
    refused(tmp_path / "none", tmp_path / "out", "none not found")
