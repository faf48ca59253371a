"""Data sets from the Hugging Face Hub, by name: the parquet files of one revision, so that all get the same images.

Files are sought in the caches of huggingface_hub and of `datasets` first (HF_HOME, HF_HUB_CACHE and HF_DATASETS_CACHE
are honoured), and downloaded into the former where they are missing. Without a validation split of its own a tenth of
a set's training images, drawn by class, serves as one.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from study.data.arrays import Decoded
from study.data.dataset import DatasetInfo
from study.data.encoded import assemble
from study.data.source import Source
from study.data.tables import columns_of, encoded
from study.errors import StudyError

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is imported, which is always later
PATIENCE = 5  # seconds to wait for the Hub's first answer


@dataclass(frozen=True)
class HubSet:
    """Where a set lies, and what is known of it."""

    repository: str
    revision: str
    config: str  # which of the repository's configurations
    files: Mapping[str, str]  # of each split, in the repository
    image_size: int | None
    channels: int
    classes: int
    splits: Mapping[str, int]  # as loaded: with the validation split taken from train
    description: str
    licence: str
    old_names: Sequence[str] = ()  # of the repository, under which caches may still hold the same revision


def _train_and_test(folder: str) -> dict[str, str]:
    return {split: f"{folder}/{split}-00000-of-00001.parquet" for split in ("train", "test")}


SETS: Mapping[str, HubSet] = {
    "cifar10": HubSet(
        repository="uoft-cs/cifar10",
        revision="0b2714987fa478483af9968de7c934580d0bb9a2",
        config="plain_text",
        files=_train_and_test("plain_text"),
        image_size=32,
        channels=3,
        classes=10,
        splits={"train": 45_000, "validation": 5_000, "test": 10_000},
        description="CIFAR-10: small photographs of animals and vehicles (Krizhevsky 2009)",
        licence="none stated",
        old_names=["cifar10"],
    ),
    "cifar100": HubSet(
        repository="uoft-cs/cifar100",
        revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
        config="cifar100",
        files=_train_and_test("cifar100"),
        image_size=32,
        channels=3,
        classes=100,
        splits={"train": 45_000, "validation": 5_000, "test": 10_000},
        description="CIFAR-100: small photographs of 100 kinds of things, fine labels (Krizhevsky 2009)",
        licence="none stated",
        old_names=["cifar100"],
    ),
    "svhn": HubSet(
        repository="ufldl-stanford/svhn",
        revision="f9e1717d73324ebbc1ece84267ccd80d0aca0690",
        config="cropped_digits",
        files=_train_and_test("cropped_digits"),
        image_size=32,
        channels=3,
        classes=10,
        splits={"train": 65_929, "validation": 7_328, "test": 26_032},
        description="SVHN: house numbers cropped to single digits, without the extra images (Netzer et al. 2011)",
        licence="non-commercial use only",
        old_names=["svhn"],
    ),
    "flowers102": HubSet(
        repository="Donghyun99/Oxford-Flower-102",
        revision="7e43fe37eeb9278138ab0bd2d0abb10d0f703d09",
        config="default",
        files={
            "train": "data/train-00000-of-00001-95813d8dab877ff5.parquet",
            "validation": "data/validation-00000-of-00001-a2ccf8138610462c.parquet",
            "test": "data/test-00000-of-00001-1cc6f065cd5391ec.parquet",
        },
        image_size=None,
        channels=3,
        classes=102,
        splits={"train": 1_020, "validation": 1_020, "test": 6_149},
        description="Oxford Flowers-102: photographs of flowers, official splits (Nilsback and Zisserman 2008)",
        licence="none stated",
    ),
    "fashion-mnist": HubSet(
        repository="zalando-datasets/fashion_mnist",
        revision="531be5e2ccc9dba0c201ad3ae567a4f3d16ecdd2",
        config="fashion_mnist",
        files=_train_and_test("fashion_mnist"),
        image_size=28,
        channels=1,
        classes=10,
        splits={"train": 54_000, "validation": 6_000, "test": 10_000},
        description="Fashion-MNIST: pieces of clothing in grey (Xiao, Rasul and Vollgraf 2017)",
        licence="MIT",
        old_names=["fashion_mnist"],
    ),
    "mnist": HubSet(
        repository="ylecun/mnist",
        revision="77f3279092a1c1579b2250db8eafed0ad422088c",
        config="mnist",
        files=_train_and_test("mnist"),
        image_size=28,
        channels=1,
        classes=10,
        splits={"train": 54_000, "validation": 6_000, "test": 10_000},
        description="MNIST: handwritten digits (LeCun et al. 1998)",
        licence="MIT, as the Hub states",
        old_names=["mnist"],
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
        )

    def fingerprint(self) -> str:
        known = SETS[self.name]
        return f"1, {known.repository} {known.config} {known.revision}"

    def available(self) -> None:
        if cached(SETS[self.name]) is None:
            self._ask_hub()

    def read(self, size: int) -> Decoded:
        files = cached(SETS[self.name]) or self._download()
        columns = columns_of(files["train"][0])
        decoded = assemble(self.describe(), {split: encoded(parts, columns) for split, parts in files.items()}, size)
        if decoded.info.splits != SETS[self.name].splits:
            raise StudyError(
                f"data set {self.name!r} has {decoded.info.splits} images, not {dict(SETS[self.name].splits)}; remove "
                f"{files['train'][0].parent} and download it again"
            )
        return decoded

    def _ask_hub(self) -> None:
        """Raise StudyError if the Hub does not offer the set, without the minutes of trying again it takes else."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        known = SETS[self.name]
        url = hf_hub_url(known.repository, known.files["train"], repo_type="dataset", revision=known.revision)
        try:
            get_hf_file_metadata(url, timeout=PATIENCE)
        except Exception as error:  # the client's own kinds of errors change with its versions and HTTP libraries
            raise StudyError(self._ways_out(error)) from error

    def _download(self) -> dict[str, list[Path]]:
        from huggingface_hub import hf_hub_download

        self._ask_hub()
        known = SETS[self.name]
        try:
            return {
                split: [Path(hf_hub_download(known.repository, file, repo_type="dataset", revision=known.revision))]
                for split, file in known.files.items()
            }
        except Exception as error:  # as above
            raise StudyError(self._ways_out(error)) from error

    def _ways_out(self, error: Exception) -> str:
        from huggingface_hub import constants

        known = SETS[self.name]
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return (
            f"data set {self.name!r} is not on this machine and cannot be downloaded: {known.repository} at revision "
            f"{known.revision} is neither in {constants.HF_HUB_CACHE} nor in {datasets_cache()}, and "
            f"{constants.ENDPOINT} did not deliver it: {reason}\n"
            "Either download it once where there is a network (and copy the first of these folders here if that is "
            f"another machine):\n"
            f"    hf download {known.repository} --repo-type dataset --revision {known.revision} "
            f"{' '.join(known.files.values())}\n"
            "or use a copy of your own: write parquet:FOLDER, with train.parquet and test.parquet in FOLDER, or "
            f"imagefolder:FOLDER, with one folder of images per class, instead of {self.name} in the grid"
        )


def cached(known: HubSet) -> dict[str, list[Path]] | None:
    """The files of each split in a cache on this machine, if all are there; no network is asked."""
    return _in_hub_cache(known) or _in_datasets_cache(known)


def datasets_cache() -> Path:
    """Where `datasets` keeps the Arrow files it makes; found without importing it, which takes seconds."""
    from huggingface_hub import constants

    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets").expanduser()


def _in_hub_cache(known: HubSet) -> dict[str, list[Path]] | None:
    from huggingface_hub import try_to_load_from_cache

    for repository in (known.repository, *known.old_names):
        found = {
            split: try_to_load_from_cache(repository, file, revision=known.revision, repo_type="dataset")
            for split, file in known.files.items()
        }
        if all(isinstance(path, str) for path in found.values()):
            return {split: [Path(str(path))] for split, path in found.items()}
    return None


def _in_datasets_cache(known: HubSet) -> dict[str, list[Path]] | None:
    """`datasets` names a folder after repository, configuration, version and revision."""
    for folder in sorted(datasets_cache().glob(f"*/{known.config}/*/{known.revision}")):
        found = {
            split: sorted([*folder.glob(f"*-{split}.arrow"), *folder.glob(f"*-{split}-*-of-*.arrow")])
            for split in known.files
        }
        if all(found.values()):
            return found
    return None
