"""From the values in a label column to class numbers, which count from 0 without gaps."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from study.utils.errors import StudyError
from study.utils.text import plural

Values = Mapping[Any, int]  # how often each value occurs; None: no label


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

    Raises StudyError for missing labels, for values that are no class, and for classes without training images.
    """
    train = found["train"]
    if not train:
        raise StudyError("train contains no images")
    classes = range(len(recorded)) if recorded else sorted(value for value in train if value is not None)
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


def check_column(column: str, found: Values) -> None:
    """Raise StudyError if a value does not name a class: a fraction, NaN, or empty text."""
    wrong = sorted((str(value) for value in found if not _names_a_class(value)), key=lambda text: (len(text), text))
    if wrong:
        shown = "empty text" if wrong[0] == "" else f"float values such as {wrong[0]}"
        raise StudyError(
            f"label column {column!r} has {shown}: labels must name classes, as integers, text, bools or categories. "
            "Write one of these, or remove the column if the images are for pre-training only"
        )


def _names_a_class(value: Any) -> bool:
    return not value % 1 if isinstance(value, float | Decimal) else value != ""


def _name(value: Any) -> str:
    return str(int(value)) if isinstance(value, float | Decimal) else str(value)


def _check(split: str, values: Values, made: Encoding) -> None:
    total = sum(values.values())
    if values.get(None):
        raise StudyError(f"{split}: no label on {values[None]} of {plural(total, 'image')}; remove them")
    wrong = Counter({value: count for value, count in values.items() if value not in made.values or _negative(value)})
    if wrong:
        known = [value for value in made.values if not _negative(value)]
        shown = f"0 to {len(known) - 1}" if known == [*range(len(known))] else ", ".join(map(repr, known[:10]))
        raise StudyError(
            f"{split}: {wrong.total()} of {total} labels are out of range ({', '.join(map(str, sorted(wrong)[:5]))}); "
            f"labels of classes in train are {shown}. Remove those rows, or the label column if the images are for "
            "pre-training only"
        )


def _negative(value: Any) -> bool:
    return isinstance(value, int) and value < 0
