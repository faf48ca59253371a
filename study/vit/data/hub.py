"""Data sets from the Hugging Face Hub, by name: one pinned revision of each, so that all users get the same images.

Uses the cache of `datasets` (respects HF_HOME and HF_DATASETS_CACHE) and downloads what is missing. If a data set has
no validation split, a stratified tenth of its training images is used.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from study.utils.errors import StudyError
from study.vit.data.arrays import SPLITS, Decoded
from study.vit.data.dataset import DatasetInfo
from study.vit.data.encoded import assemble, missing_shares
from study.vit.data.examples import Example, from_files, from_splits, literal, quiet_datasets
from study.vit.data.hub_classes import CIFAR10, CIFAR100, DIGITS, FASHION_MNIST
from study.vit.data.source import Source
from study.vit.data.splits import percent

TIMEOUT = 5  # seconds to wait for the Hub's first response


@dataclass(frozen=True)
class HubSet:
    """A repository on the Hub, and its description."""

    repository: str
    revision: str
    config: str  # which of the repository's configurations
    image_size: int | None
    channels: int
    classes: int
    splits: Mapping[str, int]  # as loaded: with the validation split taken from train
    description: str
    licence: str
    class_names: tuple[str, ...] | None = None  # as the Hub records them; None: not known before reading
    files: Mapping[str, str] | None = None  # of each split, if the configuration contains more splits
    has_validation: bool = False  # otherwise it is taken from train

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `datasets.load_dataset`."""
        files = {"data_files": dict(self.files)} if self.files else {}
        return {"path": self.repository, "name": self.config, "revision": self.revision, **files}


SETS: Mapping[str, HubSet] = {
    "cifar10": HubSet(
        repository="uoft-cs/cifar10",
        revision="0b2714987fa478483af9968de7c934580d0bb9a2",
        config="plain_text",
        image_size=32,
        channels=3,
        classes=10,
        splits={"train": 45_000, "validation": 5_000, "test": 10_000},
        description="CIFAR-10: small photographs of animals and vehicles (Krizhevsky 2009)",
        licence="none stated",
        class_names=CIFAR10,
    ),
    "cifar100": HubSet(
        repository="uoft-cs/cifar100",
        revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
        config="cifar100",
        image_size=32,
        channels=3,
        classes=100,
        splits={"train": 45_000, "validation": 5_000, "test": 10_000},
        description="CIFAR-100: small photographs of 100 kinds of things, fine labels (Krizhevsky 2009)",
        licence="none stated",
        class_names=CIFAR100,
    ),
    "svhn": HubSet(
        repository="ufldl-stanford/svhn",
        revision="f9e1717d73324ebbc1ece84267ccd80d0aca0690",
        config="cropped_digits",
        files={split: f"cropped_digits/{split}-*.parquet" for split in ("train", "test")},
        image_size=32,
        channels=3,
        classes=10,
        splits={"train": 65_929, "validation": 7_328, "test": 26_032},
        description="SVHN: house numbers cropped to single digits, without the extra images (Netzer et al. 2011)",
        licence="non-commercial use only",
        class_names=DIGITS,
    ),
    "flowers102": HubSet(
        repository="Donghyun99/Oxford-Flower-102",
        revision="7e43fe37eeb9278138ab0bd2d0abb10d0f703d09",
        config="default",
        image_size=None,
        channels=3,
        classes=102,
        splits={"train": 1_020, "validation": 1_020, "test": 6_149},
        has_validation=True,
        description="Oxford Flowers-102: photographs of flowers, official splits (Nilsback and Zisserman 2008)",
        licence="none stated",
    ),
    "fashion-mnist": HubSet(
        repository="zalando-datasets/fashion_mnist",
        revision="531be5e2ccc9dba0c201ad3ae567a4f3d16ecdd2",
        config="fashion_mnist",
        image_size=28,
        channels=1,
        classes=10,
        splits={"train": 54_000, "validation": 6_000, "test": 10_000},
        description="Fashion-MNIST: pieces of clothing in grey (Xiao, Rasul and Vollgraf 2017)",
        licence="MIT",
        class_names=FASHION_MNIST,
    ),
    "mnist": HubSet(
        repository="ylecun/mnist",
        revision="77f3279092a1c1579b2250db8eafed0ad422088c",
        config="mnist",
        image_size=28,
        channels=1,
        classes=10,
        splits={"train": 54_000, "validation": 6_000, "test": 10_000},
        description="MNIST: handwritten digits (LeCun et al. 1998)",
        licence="MIT, as the Hub states",
        class_names=DIGITS,
    ),
}


class Hub(Source):
    """One of `SETS`, by its name in the grid."""

    def describe(self) -> DatasetInfo:
        known = SETS[self.name]
        return DatasetInfo(
            name=self.name,
            image_size=known.image_size,
            channels=known.channels,
            classes=known.classes,
            splits=dict(known.splits),
            description=known.description,
            source=f"huggingface.co/datasets/{known.repository} at {known.revision[:8]}",
            licence=known.licence,
            class_names=known.class_names,
            origins=_origins(known),
        )

    def fingerprint(self) -> str:
        known = SETS[self.name]
        return f"1, {known.repository} {known.config} {known.revision}"

    def shares(self) -> dict[str, Fraction]:
        return _shares(SETS[self.name])

    def available(self) -> None:
        if not cached(SETS[self.name]):
            self._check_hub()

    def read(self, size: int) -> Decoded:
        files = cached(SETS[self.name])
        examples = from_files(self.name, "arrow", files) if files else self._download()
        decoded = assemble(self.describe(), examples, size)
        if decoded.info.splits != SETS[self.name].splits:
            raise StudyError(
                f"data set {self.name!r}: images per split are {decoded.info.splits}, expected "
                f"{dict(SETS[self.name].splits)}; remove its folder in {datasets_cache()} and download it again"
            )
        return decoded

    def _check_hub(self) -> None:
        """Raise StudyError if the Hub cannot serve the data set; `datasets` takes half a minute or more to find out."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        known = SETS[self.name]
        url = hf_hub_url(known.repository, "README.md", repo_type="dataset", revision=known.revision)
        try:
            get_hf_file_metadata(url, timeout=TIMEOUT)
        except Exception as error:  # the client's errors change with its versions and HTTP libraries
            raise StudyError(self._not_available(error)) from error

    def _download(self) -> dict[str, Iterator[Example]]:
        self._check_hub()
        try:
            found = quiet_datasets().load_dataset(**SETS[self.name].arguments)
        except Exception as error:  # as above
            raise StudyError(self._not_available(error)) from error
        return from_splits(self.name, found)

    def _not_available(self, error: Exception) -> str:
        from huggingface_hub import constants

        known = SETS[self.name]
        reason = (str(error) or type(error).__name__).splitlines()[0]
        arguments = ", ".join(f"{key}={value!r}" for key, value in known.arguments.items())
        return (
            f"data set {self.name!r} is not cached on this machine and could not be downloaded: {known.repository} at "
            f"revision {known.revision} is not in {datasets_cache()}, and {constants.ENDPOINT} failed: {reason}\n"
            "Download it on a machine with network access (and copy that folder to this machine):\n"
            f'    python -c "import datasets; datasets.load_dataset({arguments})"\n'
            f"or use your own copy: replace {self.name} in the grid by parquet:FOLDER (with train.parquet and "
            "test.parquet in FOLDER) or imagefolder:FOLDER (with one folder of images per class)"
        )


def _origins(known: HubSet) -> dict[str, str]:
    origins = {split: f"official {split} split" for split in SPLITS}
    return origins | {split: f"{percent(share)} of train, by content" for split, share in _shares(known).items()}


def _shares(known: HubSet) -> dict[str, Fraction]:
    return missing_shares(("train", "test", *(["validation"] if known.has_validation else [])), labelled=True)


def cached(known: HubSet) -> dict[str, list[str]] | None:
    """The files of each split in the cache of `datasets`, or None; needs no network.

    They are found by revision, in the folder that `datasets` names after repository, configuration, version and
    revision: `datasets` itself contacts the Hub even for cached data, and in offline mode accepts any revision.
    """
    for folder in sorted(datasets_cache().glob(f"*/{known.config}*/*/{known.revision}")):
        found = {
            split: [literal(file) for file in sorted(folder.glob("*.arrow")) if f"-{split}" in file.stem]
            for split in SPLITS
        }
        if found["train"] and found["test"]:
            return {split: files for split, files in found.items() if files}
    return None


def datasets_cache() -> Path:
    """The folder of the Arrow files of `datasets`, without importing it, which takes seconds."""
    from huggingface_hub import constants

    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets").expanduser()
