"""Image folders: what was counted is what is loaded, image for image and label for label."""

import os
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.data_samples import digits, encode, save_images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from study.utils.errors import StudyError
from study.vit.data import describe, load
from study.vit.data.arrays import SPLITS
from study.vit.data.catalogue import find
from study.vit.data.class_folders import splits_in
from study.vit.data.images import decode

IMAGES, LABELS = digits(60)
FORMATS = {"png": "PNG", "JPG": "JPEG", "avif": "AVIF", "qoi": "QOI", "webp": "WEBP", "bmp": "BMP", "ppm": "PPM",
           "tif": "TIFF", "tga": "TGA", "gif": "GIF"}  # fmt: skip
STRAY = ("metadata.csv", "archive.zip", "notes", "._1.png", "Thumbs.db", "figure.eps", "photo.heic", "table.h5")

class_names = st.text("ab1 äéÅ:[]*?{}!#%&'\"$~", min_size=1, max_size=7) | st.sampled_from(["a::b", "[a-z]", "test x"])
image = st.tuples(st.sampled_from(sorted(FORMATS)), st.booleans())  # ending, whether the file is a link


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, dict[str, list[tuple[str, bool]]]]:
    """The images of each class of each split."""
    unique = st.lists(class_names, min_size=2, max_size=4, unique_by=lambda name: unicodedata.normalize("NFC", name))
    names = draw(unique)
    splits = draw(st.sampled_from([("",), ("train",), ("train", "test"), ("training", "eval", "test")]))
    images = st.lists(image, min_size=1, max_size=3)
    return {split: {name: draw(images) for name in names} for split in splits}


def write(root: Path, layout: dict[str, dict[str, list[tuple[str, bool]]]], elsewhere: Path, draw: st.DrawFn) -> None:
    """Make the folders and images, some of them as links, with stray files among them."""
    number = 0
    for split, classes in layout.items():
        for name, images in classes.items():
            form = draw(st.sampled_from(["NFC", "NFD"]))
            folder = root / split / unicodedata.normalize(form, name)
            folder.parent.mkdir(exist_ok=True)
            if draw(st.booleans()):
                (elsewhere / f"folder {number}").mkdir()
                folder.symlink_to(elsewhere / f"folder {number}", target_is_directory=True)
            else:
                folder.mkdir()
            for ending, linked in images:
                number += 1
                data = encode(np.full((4, 4, 3), (number * 4 % 256, 255 - number, number // 60)), FORMATS[ending])
                file = folder / f"{number}.{ending}"
                place = elsewhere / f"{number}" if linked else file
                place.write_bytes(data)
                if linked:
                    file.symlink_to(place)
            for stray in draw(st.lists(st.sampled_from(STRAY), max_size=2, unique=True)):
                (folder / stray).write_bytes(b"file_name,label\n1.png,0\n")


def walked(folder: Path) -> Counter[tuple[bytes, int]]:
    """The pixels and labels of a folder of classes, read by a plain walk and Pillow."""
    found: Counter[tuple[bytes, int]] = Counter()
    for label, name in enumerate(sorted(os.listdir(folder), key=lambda name: unicodedata.normalize("NFC", name))):
        for file in os.listdir(folder / name):
            if not file.startswith(".") and file.rpartition(".")[2] in FORMATS:
                with Image.open(folder / name / file) as opened:
                    found[np.asarray(opened.convert("RGB")).tobytes(), label] += 1
    return found


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_was_counted_is_what_is_loaded(data: st.DataObject) -> None:
    layout = data.draw(layouts())
    with tempfile.TemporaryDirectory() as folder:
        root, elsewhere = Path(folder) / "a::[b]*", Path(folder) / "elsewhere"
        root.mkdir()
        elsewhere.mkdir()
        write(root, layout, elsewhere, data.draw)
        source = find(f"imagefolder:{root}")
        decoded = source.read(4)
        counted = {split: len(part.files) for split, part in splits_in(root).items()}
        expected = {split: walked(root / split) for split in layout}
    loaded = {
        split: Counter(
            (picture.transpose(1, 2, 0).tobytes(), int(label))
            for picture, label in zip(part.images, part.labels, strict=True)
        )
        for split, part in decoded.parts.items()
    }
    given_splits = dict(zip(("train", "test") if len(layout) == 2 else SPLITS, layout, strict=False))
    taken = [split for split in SPLITS if split not in given_splits]
    for split in taken:
        loaded["train"] += loaded[split]
    assert {split: loaded[split] for split in given_splits} == {s: expected[was] for s, was in given_splits.items()}
    assert counted == {split: loaded[split].total() for split in given_splits}


def test_a_linked_class_folder_is_a_class(tmp_path: Path) -> None:
    """The glob of `datasets` did not follow it, and all later classes had the label before theirs."""
    save_images(tmp_path / "data", IMAGES, LABELS)
    (tmp_path / "data" / "3").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "3").symlink_to(tmp_path / "elsewhere")
    data = load(f"imagefolder:{tmp_path / 'data'}", 8)
    pictures = {decode(image, "x", 8).pixels.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    for part in (data.train, data.validation, data.test):
        for image, label in zip(part.images.numpy(), part.labels.tolist(), strict=True):
            assert pictures[image.tobytes()] == label


@pytest.mark.parametrize("word", ["eval", "Evaluation", "val", "dev"])
def test_names_of_the_validation_split(word: str, tmp_path: Path) -> None:
    save_images(tmp_path / "train", IMAGES, LABELS)
    save_images(tmp_path / word, IMAGES[:20], LABELS[:20])
    assert len(load(f"imagefolder:{tmp_path}", 8).validation) == 20


def _beside(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            save_images(folder, IMAGES[:9], [name] * 9)

    return make


def _unreadable_class(folder: Path) -> None:
    save_images(folder, IMAGES, LABELS)
    save_images(folder, [b"ftypheic"] * 3, ["fish"] * 3, ending="heic")


def _deeper(folder: Path) -> None:
    save_images(folder, IMAGES, LABELS)
    save_images(folder / "3" / "a" / "b" / "c", IMAGES[:1], ["d"])


def _two_spellings(folder: Path) -> None:
    for form in ("NFC", "NFD"):
        save_images(folder, IMAGES[:9], [unicodedata.normalize(form, "Käfer")] * 9)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a class called train": (_beside("train", "bus", "car"), "contains train and bus, both with images directly"),
    "classes called train and test": (_beside("train", "test", "bus"), "contains train and bus"),
    "train_images": (_beside("train_images", "test_images"), "test_images has the name of a split.* rename it to test"),
    "train_images with classes": (_beside("train_images/a", "train_images/b"), "train_images has the name of a split"),
    "train2 beside classes": (_beside("a", "b", "train-2"), "train-2 has the name of a split"),
    "images and masks": (_beside("images", "masks"), "images and masks, which are not classes"),
    "a class of .heic only": (_unreadable_class, r"fish contains 3 pictures that cannot be read here \(\.heic\)"),
    "deeper folders": (_deeper, "a/b/c/d/0000.png is nested too deep"),
    "split folders below images": (_beside("images/train/a", "images/train/b"), "nested too deep"),
    "two spellings of one name": (_two_spellings, "two folders called 'Käfer'"),
    "test classes without train classes": (_beside("train/a", "test/a", "test/b"), "'b' of test is not a class"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_layouts_that_are_refused(case: str, tmp_path: Path) -> None:
    make, message = REFUSED[case]
    make(tmp_path)
    with pytest.raises(StudyError, match=message) as caught:
        describe(f"imagefolder:{tmp_path}")
    assert f"imagefolder:{tmp_path}" in str(caught.value)


@pytest.mark.parametrize("names", [("train station", "bus"), ("test tube", "flask"), ("images", "drawings")])
def test_classes_whose_names_begin_like_a_split(names: tuple[str, str], tmp_path: Path) -> None:
    _beside(*names)(tmp_path)
    assert describe(f"imagefolder:{tmp_path}").class_names == tuple(sorted(names))


def test_what_is_not_read_is_counted(tmp_path: Path) -> None:
    save_images(tmp_path / "train", IMAGES, LABELS)
    save_images(tmp_path / "extra", IMAGES, LABELS)
    save_images(tmp_path / "train", [b"ftypheic"] * 3, [3] * 3, ending="HEIC")
    (tmp_path / "train" / "0" / "metadata.csv").touch()
    (tmp_path / "train" / "0" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "docs").mkdir()
    assert splits_in(tmp_path)["train"].left_out == (
        "1 .csv file",
        "1 broken link",
        "3 unreadable .heic pictures",
        "folder docs (no images)",
        "folder extra (60 images)",
    )


def test_links_in_a_ring(tmp_path: Path) -> None:
    save_images(tmp_path, IMAGES, LABELS)
    (tmp_path / "3" / "up").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(StudyError, match="nested too deep"):
        describe(f"imagefolder:{tmp_path}")


def test_a_postscript_file_is_not_run(tmp_path: Path) -> None:
    """Pillow recognises it by its content, whatever its ending, and would run Ghostscript."""
    save_images(tmp_path, [*IMAGES, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"], [*LABELS, 3])
    with pytest.raises(StudyError, match=r"3.0060\.png is not an image in one of the formats AVIF, BMP"):
        load(f"imagefolder:{tmp_path}", 8)
