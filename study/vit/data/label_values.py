"""From the values in a label column to class numbers, which count from 0 without gaps.

Numbers must be whole, and from 0 to 2^31 - 1. A number far beyond consecutive ones that stands for "no label" in common
formats, such as 255 after 0 to 9, is refused: it would become a class. So are labels that number the images.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from study.utils.errors import StudyError
from study.utils.text import plural

Values = Mapping[Any, int]  # how often each value occurs; None: no label
LARGEST = 2**31 - 1
MOST_CLASSES = 65_536
FILLERS = frozenset((99, 127, 255, 999, 9999, 32767, 65535, 99999, 999999, LARGEST))
FAR = 10  # numbers skipped before a filler
ONE_EACH = 50  # training images, from which on a class for each of them is a mistake


class LabelError(StudyError):
    """A value in a label column does not name a class."""

    def __init__(self, split: str, problem: str, value: Any) -> None:
        super().__init__(f"{split}: {problem}")
        self.split, self.value = split, value

    def at(self, place: str) -> str:
        """The message with the place of the value."""
        return f"{self}. The first is in {place}"

    def has(self, value: Any) -> bool:
        """Whether this value of the column is the one; NaN differs from itself."""
        return bool(value is self.value or value == self.value or (value != value and self.value != self.value))


@dataclass(frozen=True)
class Encoding:
    """The value of each class in the label column, in the order of the class numbers, and the names of the classes."""

    values: tuple[Any, ...]
    names: tuple[str, ...]

    def counts(self, found: Values) -> list[int]:
        """The number of images of each class."""
        return [found.get(value, 0) for value in self.values]


def are_secret(split: str, found: Values) -> bool:
    """Whether all labels are -1, which means on the Hub that they are not published: the split counts as missing."""
    return split != "train" and found.keys() == {-1}


def encoding(found: Mapping[str, Values], recorded: Sequence[str] | None) -> Encoding:
    """The classes: those recorded in the table, else the values of train in ascending order.

    Raises LabelError for missing labels and values that are no class, StudyError for classes without training images.
    """
    train = found["train"]
    if not train:
        raise StudyError("train contains no images")
    classes = range(len(recorded)) if recorded else sorted(value for value in train if value is not None)
    if not recorded:
        _check_filler(classes)
    made = Encoding(tuple(classes), tuple(recorded or map(_name, classes)))
    for split, values in found.items():
        _check(split, values, made)
    absent = [name for name, count in zip(made.names, made.counts(train), strict=True) if not count]
    if absent:
        raise StudyError(
            f"train: no image of {plural(len(absent), 'class')} of {len(made.names)} ({', '.join(absent[:5])}); add "
            "images, or write the table with the classes that it contains"
        )
    return made


def check_column(split: str, column: str, found: Values) -> None:
    """Raise LabelError if a value does not name a class: a fraction, NaN, empty text, or a number that is too large."""
    unsorted = [value for value in found if not _names_a_class(value)]
    wrong = sorted(unsorted, key=lambda value: (len(str(value)), str(value)))
    if wrong:
        shown = "empty text" if wrong[0] == "" else f"float values such as {wrong[0]}"
        raise LabelError(
            split,
            f"label column {column!r} has {shown}: labels must name classes, as integers, text, bools or categories. "
            "Write one of these, or remove the column if the images are for pre-training only",
            wrong[0],
        )
    if large := [value for value in found if isinstance(value, int | float | Decimal) and value > LARGEST]:
        raise LabelError(
            split,
            f"label column {column!r} has {_name(min(large))}: numbers of classes must be from 0 to {LARGEST:,}. "
            "Number the classes from 0, write their names, or remove rows that have no label",
            min(large),
        )


def check_classes(classes: int, images: int) -> None:
    """Raise StudyError if so many classes among the training images must be a mistake."""
    if classes > MOST_CLASSES or ONE_EACH <= images == classes:
        each = f"at most {MOST_CLASSES:,} are valid" if images > classes else "every training image has its own"
        raise StudyError(
            f"{classes:,} classes: {each}. "  # never one
            "The labels seem to number the images; write classes, or remove the labels "
            "if the images are for pre-training only"
        )


def _check_filler(classes: Sequence[Any]) -> None:
    """Raise LabelError if the last of these values, in ascending order, stands for missing labels."""
    if len(classes) < 3 or not all(isinstance(value, int | float | Decimal) for value in classes):
        return
    *others, last = classes
    consecutive = others[0] in (0, 1) and others[-1] - others[0] + 1 == len(others)  # distinct, in ascending order
    if consecutive and last in FILLERS and last > others[-1] + FAR:
        raise LabelError(
            "train",
            f"labels are {_name(others[0])} to {_name(others[-1])}, and {_name(last)}, which often stands for missing "
            "labels: remove these rows, or, if it is a class, write names of classes instead of numbers",
            last,
        )


def _names_a_class(value: Any) -> bool:
    return not value % 1 if isinstance(value, float | Decimal) else value != ""


def _name(value: Any) -> str:
    return str(int(value)) if isinstance(value, float | Decimal) else str(value)


def _check(split: str, values: Values, made: Encoding) -> None:
    total = sum(values.values())
    if values.get(None):
        raise LabelError(split, f"no label on {values[None]} of {plural(total, 'image')}; remove them", None)
    classes = set(made.values)
    wrong = Counter({value: count for value, count in values.items() if value not in classes or _negative(value)})
    if wrong:
        known = [value for value in made.values if not _negative(value)]
        shown = f"0 to {len(known) - 1}" if known == [*range(len(known))] else ", ".join(map(repr, known[:10]))
        raise LabelError(
            split,
            f"{wrong.total()} of {total} labels are out of range ({', '.join(map(str, sorted(wrong)[:5]))}); "
            f"labels of classes in train are {shown}. Remove those rows, or the label column if the images are for "
            "pre-training only",
            min(wrong),
        )


def _negative(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and value < 0
