"""A data set that takes long to read, for processes that several tests start at once."""

import time
from pathlib import Path

from study.vit.data import DatasetInfo, cache
from study.vit.data.arrays import Decoded
from study.vit.data.catalogue import find
from study.vit.data.source import Source


class Slow(Source):
    """Appends a line to a file whenever it is read; slow."""

    def describe(self) -> DatasetInfo:
        return find("digits").describe()

    def fingerprint(self) -> str:
        return "slow"

    def read(self, size: int) -> Decoded:
        with Path(self.name).open("a") as notes:
            notes.write("read\n")
        time.sleep(0.5)
        return find("digits").read(size)


def remember_slowly(notes: str) -> str:
    found = cache.remember(Slow(notes), 8)
    return str(found) if isinstance(found, Path) else "not cached"
