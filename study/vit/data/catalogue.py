"""The table of data sets. A new one is one file in this folder and one line here; the conformance tests run on it."""

import difflib
import pkgutil
from collections.abc import Mapping
from typing import cast

from study.utils.errors import StudyError
from study.vit.data.dataset import DatasetInfo
from study.vit.data.source import Source

NAMED: Mapping[str, str] = {
    "digits": "study.vit.data.digits:Digits",
    "photos": "study.vit.data.photos:Photos",
    "cifar10": "study.vit.data.hub:Hub",
    "cifar100": "study.vit.data.hub:Hub",
    "svhn": "study.vit.data.hub:Hub",
    "flowers102": "study.vit.data.hub:Hub",
    "fashion-mnist": "study.vit.data.hub:Hub",
    "mnist": "study.vit.data.hub:Hub",
}
OWN: Mapping[str, str] = {  # written KIND:PATH
    "parquet": "study.vit.data.parquet:Parquet",
    "imagefolder": "study.vit.data.imagefolder:ImageFolder",
}


def find(name: str) -> Source:
    """The source of a data set named in a grid. Raises StudyError for an unknown name or an empty path."""
    kind, colon, path = name.partition(":")
    if colon and kind in OWN:
        if not path:
            raise StudyError(f"data set {name!r} has no path: write {kind}:PATH, for example {kind}:data/mine")
        return _open(OWN[kind], name)
    if name not in NAMED:
        raise StudyError(_unknown(name))
    return _open(NAMED[name], name)


def names() -> list[DatasetInfo]:
    """Descriptions of all named data sets, in the order of the table."""
    return [find(name).describe() for name in NAMED]


def _open(place: str, name: str) -> Source:
    return cast(Source, pkgutil.resolve_name(place)(name))


def _unknown(name: str) -> str:
    written = {**{known: known for known in NAMED}, **{kind: f"{kind}:PATH" for kind in OWN}}
    close = difflib.get_close_matches(name.partition(":")[0].lower(), written, n=1)
    guess = f" Did you mean {written[close[0]]!r}?" if close else ""
    return f"unknown data set {name!r}.{guess} Data sets: {', '.join(written.values())}"
