"""URLs of sources: what is accepted, what of them may be shown, and how page parameters are put into them.

A URL stands in the database and in every row that came from it, so it may hold no secret: user names and passwords,
and query parameters that are called like secrets, are refused with the way out. Texts for people show scheme, host and
path only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import quote, unquote_plus, urljoin, urlsplit

import httpcore
import idna

from server.core.errors import FatalError, InvalidRequestError
from server.core.reasons import Reason
from server.sources.secret_names import means_secret

URL_CHARS_MAX: Final = 255


def check_url(url: str) -> None:
    """Check a source's URL without the network.

    Raises:
        InvalidRequestError: INVALID_REQUEST, with the reason and what to do instead.
    """
    problem = problem_of(url)
    if problem:
        raise InvalidRequestError(Reason.INVALID_REQUEST, f"sourceIdentifier {problem}", field="sourceIdentifier")


def problem_of(url: str) -> str:
    """Why a URL is not acceptable, as the end of a sentence; empty when it is."""
    if len(url) > URL_CHARS_MAX:
        return f"is longer than {URL_CHARS_MAX} characters"
    if any(char <= " " or char in "\x7f\\" for char in url):
        return "has spaces, control characters or backslashes; percent-encode them"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL, such as https://api.example.com/songs"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be a URL with http:// or https:// and a host, such as https://api.example.com/songs"
    if "@" in parts.netloc:
        return "holds a user name or password; use options.auth of type basic instead"
    if port == 0:
        return "has port 0"
    if "#" in url:
        return "has a fragment (#...), which is never sent; leave it out"
    secret = secret_parameter(parts.query)
    if secret:
        return (
            f"holds a secret in the parameter {secret!r}, and would be stored in clear; leave it out and use "
            "options.query, or options.auth (bearer, basic or apikey)"
        )
    return ""


def secret_parameter(query: str) -> str:
    """The first parameter of a query that is called like a secret and has a value; empty when there is none."""
    return next((name for name, value in _parameters(query) if means_secret(name, value)), "")


def redacted(url: str) -> str:
    """Scheme, host and path of a URL: what may stand in a text for people."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path or '/'}"


def host_header(url: str) -> str:
    """The value of the Host header for a URL: the host as DNS knows it, and the port unless it is the usual one."""
    scheme, host, port = origin(url)
    usual = port == {"http": 80, "https": 443}.get(scheme)
    host = f"[{host}]" if ":" in host else idna_host(host)
    return host if usual else f"{host}:{port}"


def idna_host(host: str) -> str:
    """A host as DNS knows it (IDNA 2008, UTS 46); one that cannot be encoded stays, and then fails to resolve."""
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host


def to_wire(url: str) -> httpcore.URL:
    """The URL as it goes out: host as DNS knows it, what is not ASCII percent-encoded, all else untouched."""
    scheme, host, port = origin(url)
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii():
        target = "".join(char if char.isascii() else quote(char) for char in target)
    return httpcore.URL(
        scheme=scheme.encode("ascii"),
        host=idna_host(host).encode("ascii", "ignore"),
        port=port,
        target=target.encode("ascii"),
    )


def followed(url: str, target: str, without: Collection[str] = (), without_values: Collection[str] = ()) -> str:
    """The URL that a page at `url` names as the next one.

    Args:
        target: absolute or relative.
        without, without_values: names and values of query parameters that are left out, because they are secrets that
            the source says back.

    A source behind a proxy often says http for itself although it was asked by https: the response is https again.

    Raises:
        FatalError: SOURCE_REFUSED, it names no URL.
    """
    try:
        joined = urljoin(url, target.strip())
        named = origin(joined)
        is_downgrade = named[:2] == ("http", origin(url)[1]) and origin(url)[0] == "https"
        if is_downgrade and urlsplit(joined).port is None:
            joined = "https" + joined[len("http") :]
    except ValueError as error:
        raise FatalError(Reason.SOURCE_REFUSED, f"the next address that {redacted(url)} names is no URL") from error
    base, _, query = joined.partition("#")[0].partition("?")
    kept = []
    for piece in filter(None, query.split("&")):
        name, _, value = piece.partition("=")
        if unquote_plus(name) not in without and unquote_plus(value) not in without_values:
            kept.append(piece)
    return f"{base}?{'&'.join(kept)}" if kept else base


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """The URL with these query parameters set; the others keep their place and their spelling."""
    if not parameters:
        return url
    base, _, query = url.partition("?")
    kept = [piece for piece in query.split("&") if piece and unquote_plus(piece.partition("=")[0]) not in parameters]
    added = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items()]
    return f"{base}?{'&'.join(kept + added)}"


def parameter(url: str, name: str) -> str | None:
    """The value of a query parameter, or None."""
    return next((value for key, value in _parameters(url.partition("?")[2]) if key == name), None)


def identity(url: str) -> str:
    """The URL in one spelling: scheme and host in lower case as DNS knows them, no usual port, a path."""
    try:
        scheme, host, port = origin(url)
        parts = urlsplit(url)
    except ValueError:
        return url
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{idna_host(host)}:{port}{parts.path or '/'}{query}"


def place(url: str) -> str:
    """The URL with its host as DNS knows it, and nothing else of it that could be read in two ways; the text itself of what is none."""
    try:
        scheme, host, port = origin(url)
    except ValueError:
        return f"unreadable://{url}"
    name = idna_host(host)
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/"


def _parameters(query: str) -> list[tuple[str, str]]:
    pieces = (piece.partition("=") for piece in query.split("&") if piece)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pieces]


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host (lower case) and port of a URL: what two requests must share to share a secret."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(scheme, 0)
