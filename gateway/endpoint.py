"""The base of every route: it accepts only the keys that it names, in its query and in its body."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import ClassVar

from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request

from gateway.connections import ConnectionPool
from gateway.errors import RequestFaultError


class Endpoint(HTTPEndpoint):
    """One path of the API."""

    # The keys that the query of a GET may have, and that of a POST; other methods take none.
    query_keys: ClassVar[tuple[str, ...]] = ()
    post_query_keys: ClassVar[tuple[str, ...]] = ()

    async def dispatch(self) -> None:
        """Check the query of a method that the path has, then call the method.

        Raises:
            RequestFaultError: 400 for an unknown or duplicate key of the query.
        """
        request = Request(self.scope, receive=self.receive)
        # A method that the path does not have is refused as that, whatever its query says.
        if request.method in self._allowed_methods:
            query(request, *self._query_keys(request.method))
        await super().dispatch()

    def _query_keys(self, method: str) -> tuple[str, ...]:
        if method in ("GET", "HEAD"):
            return self.query_keys
        return self.post_query_keys if method == "POST" else ()


def query(request: Request, *known: str) -> dict[str, str]:
    """The parameters of the query.

    Raises:
        RequestFaultError: 400 for an unknown or duplicate one.
    """
    given = request.query_params.multi_items()
    refuse_unknown([name for name, _value in given], known, "the query")
    for name in {name for name, _value in given}:
        if len(request.query_params.getlist(name)) > 1:
            raise RequestFaultError(HTTPStatus.BAD_REQUEST, f"{name} stands in the query more than once", field=name)
    return dict(given)


def refuse_unknown(given: Iterable[str], known: Collection[str], where: str) -> None:
    """Check names.

    Args:
        where: the names are, for the message.

    Raises:
        RequestFaultError: 400 for the first unknown one.
    """
    for name in given:
        if name not in known:
            knows = f"; it knows {', '.join(sorted(known))}" if known else ""
            text = f"{where} has no key {name[:100]!r}{knows}"
            raise RequestFaultError(HTTPStatus.BAD_REQUEST, text, field=name[:100])


def require_stream(pool: ConnectionPool, instead: str) -> None:
    """Check that another response that may take long can begin.

    Args:
        instead: what the caller can do without one.

    Raises:
        RequestFaultError: 503; there are as many as there may be.
    """
    if not pool.has_stream_left:
        raise RequestFaultError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"there are {pool.streams_max} event streams and downloads open, the most there may be",
            reason="SERVICE_UNAVAILABLE",
            next_step=f"{instead}, or raise TECHAURA_SYNC_GATEWAY_EVENT_STREAMS_MAX",
        )
