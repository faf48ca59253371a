"""Names of data sets: found in the table, corrected in errors, described without heavy imports."""

import subprocess
import sys

import pytest

from study.utils.errors import StudyError
from study.vit.data import available, describe, load, names
from study.vit.data.catalogue import NAMED, OWN

NOTHING_HEAVY = """
import sys, time
start = time.perf_counter()
from study.vit.data import describe, names
for name in {names}:
    describe(name)
names()
heavy = {{"torch", "datasets", "sklearn", "scipy", "pandas", "huggingface_hub"}} & set(sys.modules)
assert not heavy, heavy
assert time.perf_counter() - start < 5
"""


def test_describing_a_data_set_imports_no_heavy_packages() -> None:
    """Measured at 0.2 s; the bound leaves room for busy machines."""
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_HEAVY.format(names=list(NAMED))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_table_in_its_order() -> None:
    assert [info.name for info in names()] == list(NAMED)


@pytest.mark.parametrize("use", [describe, available, lambda name: load(name, 8)])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("cifar-10", "cifar10"),
        ("Digits", "digits"),
        ("fashion_mnist", "fashion-mnist"),
        ("parket:a/b", "parquet:PATH"),
    ],
)
def test_the_error_for_a_wrong_name_suggests_the_closest(use: object, name: str, meant: str) -> None:
    with pytest.raises(StudyError, match=rf"unknown data set {name!r}\. Did you mean {meant!r}") as caught:
        use(name)  # type: ignore[operator]
    for possible in [*NAMED, *OWN]:
        assert possible in str(caught.value)


@pytest.mark.parametrize("name", ["", "x", ":", "https://example.org/a", "../images", "a\nb"])
def test_invalid_names(name: str) -> None:
    with pytest.raises(StudyError, match=r"unknown data set .*\. Data sets: digits, photos"):
        describe(name)
