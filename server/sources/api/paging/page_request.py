"""Makes the request for the page at a position: URL, parameters and body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.sources.api import urls
from server.sources.api.http.client import PageRequest
from server.sources.api.options import ApiOptions
from server.sources.api.paging.counted import Paging
from server.sources.api.paging.position import PagingState
from server.sources.api.request_body import encoded


class PageRequests:
    """The requests of one source.

    Args:
        url: of the source, as the caller gave it.
        paging: which parameters ask for a page.
    """

    def __init__(self, url: str, options: ApiOptions, paging: Paging) -> None:
        self._url = url
        self._options = options
        self._paging = paging

    def at(self, position: PagingState, items: int | None = None) -> PageRequest:
        """The request for the page at a position.

        Args:
            items: asked for, in place of as many as the paging says.
        """
        options, place = self._options, position.place
        if "url" in place:
            url, parameters = str(place["url"]), {}
        else:
            url, parameters = self._url, dict(self._paging.parameters(place))
            if items is not None and options.pagination.limit_param:
                parameters[options.pagination.limit_param] = items
            if options.incremental is not None and position.since:
                parameters[options.incremental.param] = options.incremental.asked(position.since)
        body = options.body
        if options.pagination.params_in == "body" and (options.pagination.enabled or parameters):
            body = _with_fields(body or {}, parameters)
        else:
            url = urls.with_parameters(url, {name: str(value) for name, value in parameters.items()})
        content = None if body is None else encoded(body, options.body_media_type)
        return PageRequest(options.method, url, content)


def _with_fields(body: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a JSON object with fields set at dot paths."""
    copied: dict[str, Any] = dict(body)
    for path, value in fields.items():
        name, _, rest = path.partition(".")
        inner = copied.get(name)
        copied[name] = _with_fields(inner if isinstance(inner, Mapping) else {}, {rest: value}) if rest else value
    return copied
