"""Option numberFormat, which the source types share whose numbers come as texts; protos/techaura/sync/v1/number_format.proto."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from server.core import number_format
from server.core.currencies import is_magnitude
from server.core.number_format import CURRENCY_CHARS_MAX, is_currency


def _currency(text: str) -> str:
    if not is_currency(text):
        raise PydanticCustomError(
            "currency", "must be letters and currency signs such as $, COP or Rs.: no digits, blanks, signs or per cent"
        )
    if is_magnitude(text):
        raise PydanticCustomError(
            "magnitude",
            "must be a currency and no word that multiplies or divides the amount, such as mil, k, MM, lakh, dozen, cts or %: read "
            "as a currency it would be lost, and 61 mil would be stored as 61; have the source write amounts with all their digits",
        )
    return text


Currency = Annotated[str, Field(min_length=1, max_length=CURRENCY_CHARS_MAX), AfterValidator(_currency)]


class NumberFormat(BaseModel):
    """How numbers are written. Keys are camelCase in JSON."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )

    decimal: Literal[".", ","] | None = None
    grouping: Literal["", ".", ",", " ", "'", "_"] | None = None
    currency: tuple[Currency, ...] = Field((), max_length=20)

    @field_validator("currency", mode="before")
    @classmethod
    def _list_is_tuple(cls, value: Any) -> Any:
        return tuple(value or ()) if isinstance(value, list | None) else value

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal is not None and self.decimal == self.grouping:
            raise PydanticCustomError("marks", "decimal and grouping must be different marks")
        return self

    @property
    def names_marks(self) -> bool:
        """Whether it says what points and commas mean."""
        return self.decimal is not None or self.grouping is not None

    @property
    def format(self) -> number_format.NumberFormat:
        """The format that it declares."""
        decimal = self.decimal or ("," if self.grouping == "." else ".")
        return number_format.NumberFormat(decimal, self.grouping or "", self.currency)
