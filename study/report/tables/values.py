"""Values of hyper-parameters, as text."""

from study.design.factors import label_of
from study.utils import formats, json_text


def value(found: object) -> str:
    """A hyper-parameter's value; a dash for None."""
    return formats.NONE if found is None else f"{found:.3g}" if isinstance(found, float) else label_of(found)


def json_value(text: str) -> str:
    """The same for a value stored as JSON; empty text is no value."""
    return value(json_text.parse(text) if text else None)
