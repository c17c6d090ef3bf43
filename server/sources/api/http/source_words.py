"""What a source says of itself, fit for an error text: its message, or what its answer is if it is no data at all.

Secrets of the request are masked before anything is cut, by value and by the name of a field; a text is 200 characters at
most. Line breaks and control characters are escaped where errors are made (core/errors.py).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from server.sources.redaction import redacted, without_secrets

WORDS_CHARS_MAX: Final = 200
# Of an answer that is no page so much is read.
WORDS_BYTES_MAX: Final = 64 * 1024
_VALUES_MAX: Final = 2_000
_MESSAGES_MAX: Final = 3
# In this order: what is said for people goes before what is said for programs.
_NAMES: Final = (
    "message",
    "errormessage",
    "errordescription",
    "detail",
    "details",
    "msg",
    "errormsg",
    "faultstring",
    "description",
    "reason",
    "title",
    "error",
    "errors",
    "fault",
)
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_HEADING: Final = re.compile(r"<h1[^>]*>(.*?)</h1", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_HTML: Final = re.compile(rb"\s*(?:<!--.*?-->\s*)?(?:<!doctype\s+html|<html|<head|<body)", re.IGNORECASE | re.DOTALL)
_LOGIN: Final = re.compile(
    rb"type\s*=\s*[\"']?password|\b(?:sign|log)[ -]?in\b|\blogin\b|\bsso\b|\bsaml", re.IGNORECASE
)
_XML: Final = re.compile(rb"\s*<(?:\?xml|[A-Za-z_][\w.:-]*[\s>/])")
_MAGIC: Final = (
    (b"%PDF-", "a PDF file"),
    (b"PK\x03\x04", "a ZIP file or workbook"),
    (b"\x89PNG", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF8", "an image (GIF)"),
    (b"\x1f\x8b", "packed by gzip"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3\0", "an SQLite file"),
)
_SCHEME: Final = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*)(?=\s+[^=\s,]|\s*(?:,|$))")


def words_of(body: bytes, secrets: Collection[str], headers: Mapping[str, str] | None = None) -> str:
    """What an answer that is no page says; empty where it says nothing that can be read.

    Args:
        body: its beginning.
        secrets: of the request, in clear.
        headers: of the response, names in lower case.
    """
    text = _text(body)
    if is_html(body):
        found = _TITLE.search(text) or _HEADING.search(text)
        return _shown(html.unescape(_TAG.sub(" ", found[1])) if found else "", secrets)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        if "\0" in text or "\ufffd" in text:
            return ""
        return _shown(_TAG.sub(" ", text) if _XML.match(body) else text, secrets)
    messages = said_in(document, secrets)
    problem = (headers or {}).get("x-error-message", "")
    return messages or _shown(problem, secrets) or _shown(_compact(document, secrets), secrets)


def said_in(document: Any, secrets: Collection[str]) -> str:
    """The messages of an error document, at any depth; empty where it has none under a customary name."""
    found = sorted(_messages(redacted(document, secrets)), key=lambda one: one[:2])
    texts = [text for _, _, text in found]
    # The name of an error stands before its description: `invalid_scope: there is no such scope`.
    codes = [text for rank, _, text in found if rank == _NAMES.index("error")][:1]
    said = [*codes, *texts] if texts and codes and texts[0] != codes[0] else texts
    return _shown(": ".join(dict.fromkeys(said[:_MESSAGES_MAX])), secrets)


def is_html(body: bytes) -> bool:
    """Whether a body begins as a page for people does."""
    return bool(_HTML.match(body[:4096].removeprefix(b"\xef\xbb\xbf")))


def kind_of(body: bytes, media_type: str, secrets: Collection[str]) -> str:
    """What a body is that is no data, as the end of a sentence about `it`; empty where that is not known.

    Args:
        media_type: what the response calls it.
    """
    start = body[:WORDS_BYTES_MAX].removeprefix(b"\xef\xbb\xbf")
    if not start.strip():
        return "it is empty"
    if is_html(start) or media_type in ("text/html", "application/xhtml+xml"):
        title = words_of(start, secrets) if is_html(start) else ""
        login = ", perhaps a login page" if _LOGIN.search(start) else ""
        return f"it is HTML{f' ({title})' if title else ''}{login}"
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return f"it is {name}"
    if _XML.match(start):
        return "it is XML"
    if b"\0" in start[:1024]:
        return "it is binary data"
    return ""


def schemes_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The authentication schemes that a response offers in WWW-Authenticate, each once."""
    return tuple(dict.fromkeys(_SCHEME.findall(headers.get("www-authenticate", ""))))[:5]


def _messages(document: Any) -> Iterator[tuple[int, int, str]]:
    """Rank of the name, depth and text of each message, level by level."""
    level: list[tuple[str, Any]] = [("", document)]
    seen = depth = 0
    while level and seen < _VALUES_MAX:
        following: list[tuple[str, Any]] = []
        for name, value in level:
            seen += 1
            if isinstance(value, str) and value.strip() and name in _NAMES:
                yield _NAMES.index(name), depth, value.strip()
            elif isinstance(value, Mapping):
                following += [(re.sub(r"[^a-z]", "", key.lower()), item) for key, item in value.items()]
            elif isinstance(value, list):
                following += [(name, item) for item in value]
        level, depth = following, depth + 1


def _compact(document: Any, secrets: Collection[str]) -> str:
    if document in (None, "", [], {}):
        return ""
    return json.dumps(redacted(document, secrets), ensure_ascii=False, separators=(",", ":"))


def _text(body: bytes) -> str:
    encoding = json.detect_encoding(body) if body else "utf-8"
    return body.decode(encoding, "replace").removeprefix("\ufeff")


def _shown(text: str, secrets: Collection[str]) -> str:
    text = " ".join(without_secrets(text, secrets).split())
    return text if len(text) <= WORDS_CHARS_MAX else f"{text[: WORDS_CHARS_MAX - 3]}..."
