"""What fields of views are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from google.protobuf.timestamp_pb2 import Timestamp
from techaura.sync.v1 import resources_pb2, schedules_pb2


@dataclass(frozen=True, slots=True)
class Facets:
    """What is known of a value beside its type, in the words of JSON Schema; None says nothing.

    Args:
        minimum, maximum: of a number, both included.
        maxItems: of a list.
        format: of a text.
        example: one value.
    """

    minimum: int | None = None
    maximum: int | None = None
    maxItems: int | None = None
    format: str | None = None
    example: str | None = None


Count = Annotated[int, Facets(minimum=0)]
Id = Annotated[int, Facets(minimum=1)]
Share = Annotated[float, Facets(minimum=0, maximum=1)]
# ISO 8601 UTC with milliseconds and Z.
TimeText = Annotated[str, Facets(format="date-time", example="2026-11-26T13:15:33.419Z")]


def time_text(moment: datetime) -> str:
    """An aware time in UTC, such as `2025-01-31T08:15:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_time(
    message: resources_pb2.SyncRun | resources_pb2.SyncError | schedules_pb2.SyncSchedule, field: str
) -> str | None:
    """A time of a message; None when it is not set."""
    if not message.HasField(field):  # type: ignore[arg-type]  # the generated overloads take literals only
        return None
    timestamp: Timestamp = getattr(message, field)
    return time_text(timestamp.ToDatetime(tzinfo=UTC))
