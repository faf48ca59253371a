"""The base of all settings models: frozen, typed, strict about names; no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

# The upper bounds are far beyond use: a slip of the finger shall be an error, not an hour of arithmetic.
PositiveInt = Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)]
NonNegativeInt = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]
Size = Annotated[int, Field(ge=1, le=65_536, strict=True)]  # pixels, widths
Count = Annotated[int, Field(ge=1, le=1_000, strict=True)]  # blocks, heads, experts
PositiveFloat = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1, strict=True)]  # 0 up to, not including, 1
StrictBool = Annotated[bool, Field(strict=True)]


def whole(value: Any) -> Any:
    """For literals that are whole numbers: `true` and 1.0 equal 1, and would pass for it."""
    if isinstance(value, bool | float):
        raise ValueError(f"{str(value).lower()} is not possible; it must be a whole number")
    return value


class FieldError(ValueError):
    """A field whose value is of the right type but cannot be, beside the others; `field` is its dotted path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Refusal:
    """Marks a key that is never possible where it stands, and is read only to say why."""


class Frozen(BaseModel):
    """Immutable, hashable, and strict about names: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
    meant: ClassVar[Mapping[str, str]] = {}  # what else a key might be called: the key it stands for
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # values of `preset`, a short form for several fields

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as plain JSON values.

        Keys are made from this, so that a new knob whose default is neutral leaves old keys as they are.
        """
        return self.model_dump(mode="json", exclude_defaults=True)
