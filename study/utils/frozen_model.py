"""The base of all settings models: frozen, typed, strict about names; no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

# The upper bounds are far beyond use: a typing error must fail, not take an hour.
PositiveInt = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]
NonNegativeInt = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]
Size = Annotated[int, Field(ge=1, le=65_536, strict=True)]  # pixels, widths
Count = Annotated[int, Field(ge=1, le=1_000, strict=True)]  # blocks, heads, experts
PositiveFloat = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1, strict=True)]  # 0 up to, not including, 1
StrictBool = Annotated[bool, Field(strict=True)]


def whole(value: Any) -> Any:
    """For integer literals: `true` and 1.0 equal 1, and would be accepted."""
    if isinstance(value, bool | float):
        raise ValueError(f"invalid value {str(value).lower()}: must be an integer")
    return value


class FieldError(ValueError):
    """A value of the right type that is invalid together with other fields; `field` is its dotted path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Refusal:
    """Marks a key that is never valid in its place and is parsed only to explain why."""


class Frozen(BaseModel):
    """Immutable, hashable, and strict about names: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # values of `preset`, a short form for several fields

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as plain JSON values.

        Keys are computed from this, so a new field whose default is neutral does not change existing keys.
        """
        return self.model_dump(mode="json", exclude_defaults=True)
