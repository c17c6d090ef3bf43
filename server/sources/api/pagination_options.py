"""The options that say how an API is paged, as one strict model."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from server.sources.api.option_base import HeaderName, MaybeParameterName, OptionModel, ParameterName, Path


class Pagination(OptionModel):
    """How the API is paged. See paging/counted.py for what ends a run."""

    enabled: bool = False
    type: Literal["page", "offset", "cursor", "link", "auto"] = "page"
    page_size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    params_in: Literal["query", "body"] = "query"
    limit_param: MaybeParameterName = "limit"
    offset_param: ParameterName = "offset"
    page_param: ParameterName = "page"
    cursor_param: ParameterName = "cursor"
    cursor_path: Path | None = None
    cursor_header: HeaderName | None = None
    next_url_path: Path | None = None
    first_page: Annotated[int, Field(ge=0, le=1)] | None = None
    max_pages: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    total: Literal["exact", "estimate", "ignore"] | None = None
    total_path: Path | None = None
    pages_path: Path | None = None
    stop_path: Path | None = None
    stop_value: Annotated[str, Field(max_length=1024)] | None = None
    empty_pages_max: Annotated[int, Field(ge=0, le=10_000)] = 100
    pages_at_once: Annotated[int, Field(ge=1, le=32)] | None = None

    @model_validator(mode="after")
    def _stop_has_a_path(self) -> Self:
        if self.stop_value is not None and self.stop_path is None:
            raise ValueError("stopValue needs stopPath, the place where the value stands")
        return self
