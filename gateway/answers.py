"""The bodies of responses.

A route says in its return type which one it gives: mypy checks that, and /openapi.json is generated from it. As in `techaura_sync.views`, a text in `Annotated` says what a field means.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Generic, Literal, NotRequired, TypedDict, TypeVar

from starlette.responses import JSONResponse
from techaura_sync.views.runs import RunStatusView
from techaura_sync.views.sources import ReadingsView
from techaura_sync.views.values import Count, Facets, Id, TimeText

T = TypeVar("T")
B = TypeVar("B", bound=Mapping[str, object])

Success = Annotated[Literal[True], "Always true."]
AnsweredAt = Annotated[TimeText, "When the gateway responded, in UTC."]
NextPageToken = Annotated[str, "`pageToken` of the next page; empty on the last.", Facets(example="41")]


class Answer(TypedDict, Generic[T]):
    """A success."""

    success: Success
    data: Annotated[T, "What was asked for."]
    timestamp: AnsweredAt


class MessageAnswer(Answer[T], Generic[T]):
    """A success with a fixed sentence for people."""

    message: Annotated[str, "What was done; always the same text."]


class Page(TypedDict, Generic[T]):
    """A page of a list, newest first."""

    success: Success
    data: Annotated[list[T], "Newest first."]
    nextPageToken: NextPageToken
    timestamp: AnsweredAt


class ServiceState(TypedDict):
    """A part of the service works."""

    success: Success
    status: Annotated[Literal["serving", "ready"], "The state of the part that the request is about."]
    timestamp: AnsweredAt


class Failure(TypedDict):
    """Every failure, whatever its status."""

    success: Annotated[Literal[False], "Always false."]
    error: Annotated[str, "What is wrong, for people; contains no secret."]
    reason: Annotated[
        str, "What is wrong, for programs; docs/troubleshooting.md lists all of them.", Facets(example="RUN_NOT_FOUND")
    ]
    field: NotRequired[Annotated[str, "The part of the request that is at fault, such as `options.delimiter`."]]
    nextStep: Annotated[str, "What to do about it."]
    data: NotRequired[
        Annotated[
            ReadingsView, "Of a test whose options do not fit its source: other ways to read it, and what is proposed."
        ]
    ]


class RunId(TypedDict):
    """The id of a run."""

    syncRunId: Annotated[Id, "The run."]


class StartedRun(RunId):
    """A run that was started."""

    run: NotRequired[Annotated[RunStatusView, "With `wait`: the run when it had ended, or when the time was over."]]


class ScheduleId(TypedDict):
    """The id of a schedule."""

    scheduleId: Annotated[Id, "The schedule."]


class PendingCount(TypedDict):
    """How many runs are waiting."""

    pendingCount: Annotated[Count, "Runs with status pending when the request arrived."]


class Reply(JSONResponse, Generic[B]):
    """A response whose body is of a known type.

    Args:
        body: the body.
        status: of the response.
    """

    def __init__(self, body: B, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body, status, headers)
