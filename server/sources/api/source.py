"""The api source type as the registry knows it: options in, reader out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from server.core.secret_box import SecretValue
from server.sources.api import urls
from server.sources.api.options import SECRET_PLACES, ApiOptions, parse_options
from server.sources.api.preview import preview_api
from server.sources.api.reader import check_api, open_api
from server.sources.contract import SourceContext, SourceReader, WatermarkRule
from server.sources.secret_names import means_secret
from server.sources.source_type import MappingRequest, Reveal, SourcePreview, SourceType


@dataclass(frozen=True, slots=True)
class ApiSource:
    """A REST API with checked options. Its frames carry target columns already."""

    identifier: str
    options: ApiOptions

    @classmethod
    def load(cls, identifier: str, options: Mapping[str, Any], *, from_caller: bool) -> ApiSource:
        """Check URL and options, without the network.

        Raises:
            InvalidRequestError: INVALID_REQUEST for the URL, INVALID_OPTION or INVALID_MAPPING for the options.
        """
        urls.check_url(identifier)
        return cls(identifier, parse_options(options, from_caller=from_caller))

    @property
    def mapping(self) -> MappingRequest:
        """The frame's columns are the target's."""
        options = self.options
        # The whole item, kept in metadata, is JSON that the reader has parsed.
        checked = frozenset() if "metadata" in options.field_mapping else frozenset({"metadata"})
        return MappingRequest(
            target=options.target_table,
            columns={},
            constants=options.constants,
            numbers=options.numbers,
            write=options,
            checked_json=checked,
        )

    @property
    def watermark(self) -> WatermarkRule | None:
        """By URL, by the options that decide what is read and where it goes, and by the names of secrets; not page by page how."""
        options = self.options
        if options.incremental is None:
            return None
        how = {"preset", "auth", "query", "headers", "pagination", "incremental", "requests_per_second", "conditional"}
        what = options.model_dump(mode="json", exclude=how, exclude_defaults=True)
        what["incremental"] = [options.incremental.cursor_field, options.incremental.param, options.incremental.format]
        if options.incremental.template is not None:
            what["incremental"].append(options.incremental.template)
        if options.incremental.date_format is not None:
            # What is kept is the source's own text, which another form would read as another day.
            what["incremental"].append(options.incremental.date_format)
        if options.query:
            # Secrets say who asks; parameters in clear say for what.
            what["query"] = {
                name: "" if secret.kind != "inline" or means_secret(name, secret.text) else secret.text
                for name, secret in options.query.items()
            }
        # A secret may be exchanged by another for the same; one of another name asks as somebody else, who may see other items.
        who = sorted({*_references(options.auth), *_references(options.query), *_references(options.headers)})
        if who:
            what["who"] = who
        text = json.dumps([self.identifier, what], sort_keys=True)
        key = hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()
        return WatermarkRule(key, options.incremental.full_after_days)

    async def open(self, context: SourceContext, reveal: Reveal) -> SourceReader:
        """Make the client; nothing is fetched yet."""
        return await open_api(self.identifier, self.options, context, reveal)

    async def preview(self, context: SourceContext, reveal: Reveal, rows_max: int) -> SourcePreview:
        """Fetch its first page."""
        return await preview_api(self.identifier, self.options, context, reveal, rows_max)

    async def check(self, context: SourceContext) -> tuple[str, ...] | None:
        """Look at the URL; the items are known only once the run fetches them."""
        await check_api(self.identifier, self.options, context)
        return None


def _references(value: object) -> Iterator[str]:
    """The names of variables and secret files in options."""
    if isinstance(value, SecretValue):
        if value.kind in ("env", "file"):
            yield f"{value.kind} {value.text}"
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _references(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _references(item)


def _load(identifier: str, options: Mapping[str, Any], from_caller: bool) -> ApiSource:
    return ApiSource.load(identifier, options, from_caller=from_caller)


def _secret_origin(identifier: str) -> str:
    try:
        return str(urls.origin(identifier))
    except ValueError:
        return identifier


def _further_urls(options: Mapping[str, Any]) -> tuple[str, ...]:
    auth = options.get("auth")
    url = auth.get("tokenUrl") if isinstance(auth, Mapping) else None
    return (urls.place(url),) if isinstance(url, str) else ()


API: Final = SourceType(
    name="api",
    load=_load,
    secret_places=lambda: SECRET_PLACES,
    identity=lambda identifier, _settings: urls.identity(identifier),
    secret_origin=_secret_origin,
    places=lambda identifier, _settings: (urls.place(identifier),),
    further_urls=_further_urls,
)
