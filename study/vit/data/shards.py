"""The Parquet files of a folder, by split. A split is one file, or a complete series of shards."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.data.folders import SPLIT_WORDS

_SHARD = re.compile(
    r"(?P<name>.*?)[-_.]?(?P<number>\d+)-of-(?P<total>\d+)([-_.][0-9a-f]{16})?"
)  # as the Hub names them
_NUMBERED = re.compile(r"(?P<name>.*?)[-_. ]?\d+")


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The Parquet files of a folder, or of its folder data/, by split; a single file is train, whatever its name.

    Raises StudyError if there is no train split, if a split has several files that are no shards, or if shards are
    missing.
    """
    files = _tables(folder) or _tables(folder / "data")
    if not files:
        raise StudyError(f"{folder} contains no Parquet files; expected are train.parquet and optionally test.parquet")
    splits: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if word := split_word(file):
            splits[word].append(file)
    if not splits and len(files) == 1:
        splits["train"] = files
    if "train" not in splits:
        raise StudyError(
            f"{folder} contains no train.parquet, but {', '.join(file.name for file in files[:5])}; name the files "
            "train.parquet, test.parquet and validation.parquet (the last two are optional)"
        )
    for split, parts in splits.items():
        _check_shards(split, parts)
    return dict(splits)


def left_out(folder: Path, used: Sequence[Path]) -> list[str]:
    """The names of the Parquet files of a folder, and of its folder data/, that are not used."""
    found = [*_tables(folder), *_tables(folder / "data")]
    return [str(file.relative_to(folder)) for file in found if file not in used]


def split_word(file: Path) -> str | None:
    """The split with which the name of a file begins, or None."""
    return SPLIT_WORDS.get(re.split(r"[-_.]", file.name)[0].lower())


def _tables(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.parquet") if not file.name.startswith("."))


def _check_shards(split: str, files: Sequence[Path]) -> None:
    shards = [_SHARD.fullmatch(file.stem) for file in files]
    series = {(match["name"], int(match["total"])) for match in shards if match}
    if len(series) == 1 and all(shards):
        _check_complete(files, [int(match["number"]) for match in shards if match], series.pop()[1])
    elif len(files) > 1 and not _are_numbered(files):
        raise StudyError(
            f"{files[0].parent} contains more than one file for {split}: {', '.join(file.name for file in files[:5])}; "
            "keep one, or name parts of one table as shards (train-00000-of-00002.parquet)"
        )


def _are_numbered(files: Sequence[Path]) -> bool:
    names = [_NUMBERED.fullmatch(file.stem) for file in files]
    return all(names) and len({match["name"] for match in names if match}) == 1


def _check_complete(files: Sequence[Path], numbers: Sequence[int], total: int) -> None:
    first = 0 if 0 in numbers else 1
    if sorted(numbers) != list(range(first, first + total)):
        raise StudyError(
            f"{files[0].parent} contains {plural(len(numbers), 'shard')} where their names state {total}: "
            f"{', '.join(file.name for file in files[:5])}; add missing ones, and remove those of other tables"
        )
