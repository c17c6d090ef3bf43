"""Turns the options' credentials into headers, opened once when a run begins."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from server.core.errors import FatalError
from server.core.reasons import Category, Reason
from server.core.secret_box import SecretValue
from server.sources.api.http.oauth import FormField, OAuthGrant
from server.sources.api.options import (
    PUBLIC_HEADERS,
    ApiKeyAuth,
    ApiOptions,
    BasicAuth,
    BearerAuth,
    OAuth2Auth,
    header_value_is_sendable,
    username_is_sendable,
)
from server.sources.api.request_body import opened, references
from server.sources.secret_names import is_surely_secret, means_secret
from server.sources.source_type import Reveal

_STORED_CHARS_MIN: Final = 8
# Opens a secret whose URL is known.
Open = Callable[[SecretValue], str]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests carry.

    Args:
        headers: name to value, secrets in clear.
        query: parameters that are added to each URL as it goes out, and stand in no other.
        body: what requests send, its secrets in clear; None for none.
        parts: secrets that stand in those in another form, such as a password.
        username: which of the parts is a user's name; empty for none.
        public_query: names of parameters that are no secrets.
        grant: what a token for Authorization is asked for with; None where nothing is to be asked.
        hint: what to check when the source refuses them.
        never_stored: what is a secret beyond doubt, by its place or its name, and too long to stand anywhere by chance.
    """

    headers: dict[str, str] = field(repr=False)
    hint: str
    query: dict[str, str] = field(default_factory=dict, repr=False)
    grant: OAuthGrant | None = None
    parts: tuple[str, ...] = field(default=(), repr=False)
    username: str = field(default="", repr=False)
    body: dict[str, Any] | None = field(default=None, repr=False)
    public_query: frozenset[str] = frozenset()
    never_stored: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets themselves, those of one or two characters left out, in which nothing is secret."""
        values = [value for name, value in self.query.items() if name not in self.public_query]
        values += self.headers.values()
        values += [value.partition(" ")[2] for value in self.headers.values()]
        return frozenset(value for value in values if len(value) > 2)

    @property
    def spoken(self) -> frozenset[str]:
        """What no text of a source may show: the secrets, and what they are made of."""
        public = [value for name, value in self.headers.items() if name.lower() in PUBLIC_HEADERS]
        return (self.secrets | set(self.parts)) - {"", *public}

    @property
    def sent(self) -> dict[str, str]:
        """All that requests prove themselves with, beside the tokens of a grant."""
        headers = {f"header {name.lower()}": value for name, value in self.headers.items()}
        return headers | {f"query {name}": value for name, value in self.query.items()}


def credentials(url: str, options: ApiOptions, reveal_for: Reveal) -> Credentials:
    """Open the secrets of a run.

    Args:
        url: of the source, whose origin gets all of them, or the token that they are worth.
        reveal_for: opens a secret that is sent to a URL.

    Raises:
        FatalError: SECRET_UNAVAILABLE (authentication), one cannot be opened or sent; the text names its place.
    """

    def reveal(secret: SecretValue) -> str:
        return reveal_for(secret, url)

    auth = options.auth
    found = _by_grant(auth, options, reveal, reveal_for) if isinstance(auth, OAuth2Auth) else _by_auth(options, reveal)
    query = {name: reveal(secret) for name, secret in options.query.items()}
    public = frozenset(name for name, secret in options.query.items() if not _is_secret(name, secret))
    in_body = tuple(reveal(secret) for _, secret in references(options.body, ""))
    named = tuple(text for name, text in _texts(options.body, "") if means_secret(name, text))
    made = replace(
        found,
        query=query | found.query,
        public_query=public - set(found.query),
        body=opened(options.body, reveal) if options.body is not None else None,
        parts=(*found.parts, *in_body, *named),
    )
    return replace(made, never_stored=_never_stored(made, options))


def _never_stored(made: Credentials, options: ApiOptions) -> frozenset[str]:
    """The secrets that no row may hold, should the source say them back.

    A user's name, or a header such as a tenant's, may stand in rows with good reason.
    """
    auth = options.auth
    by_place = {"authorization"}
    if isinstance(auth, ApiKeyAuth):
        by_place |= {str(auth.api_key_header or auth.api_key_param).lower()}
    # A reference to a secret of the service is one, whatever the header or parameter is called.
    given = {**options.headers, **options.query}
    by_place |= {name.lower() for name, secret in given.items() if secret.kind in ("env", "file")}
    sent = {**made.headers, **made.query}
    values = {value for name, value in sent.items() if name.lower() in by_place or is_surely_secret(name)}
    authorization = next((value for name, value in made.headers.items() if name.lower() == "authorization"), "")
    values |= {authorization.partition(" ")[2]}
    # A number may be the id of a row just as well.
    found = values | (set(made.parts) - {made.username})
    return frozenset(value for value in found if len(value) >= _STORED_CHARS_MIN and not value.isdecimal())


def _is_secret(name: str, secret: SecretValue) -> bool:
    return secret.kind != "inline" or means_secret(name, secret.text)


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """The texts of a body with the names that they stand under."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name)


def _headers(options: ApiOptions, reveal: Open) -> dict[str, str]:
    return {
        name: _sendable(reveal(secret), f"options.headers.{name}", secret) for name, secret in options.headers.items()
    }


def _by_grant(auth: OAuth2Auth, options: ApiOptions, reveal: Open, reveal_for: Reveal) -> Credentials:
    """The headers, and what a token is asked for with.

    It goes to the address of the tokens, and what it is worth, the token, to the source: both must be hosts of the secret.
    """

    def reveal_grant(secret: SecretValue) -> str:
        reveal(secret)
        return reveal_for(secret, auth.token_url)

    grant = OAuthGrant(
        auth.token_url,
        auth.client_id,
        reveal_grant(auth.client_secret) if auth.client_secret else "",
        reveal_grant(auth.refresh_token) if auth.refresh_token else "",
        auth.scope or "",
        in_body=auth.client_auth == "body",
        user=(reveal_grant(auth.username), reveal_grant(auth.password)) if auth.username and auth.password else None,
        params=_params(auth, reveal_grant),
    )
    hint = f"it does not take the tokens of {auth.token_url.partition('?')[0]}; check options.auth, above all the scope"
    username = grant.user[0] if grant.user is not None else ""
    return Credentials(_headers(options, reveal), hint, grant=grant, parts=grant.secrets, username=username)


def _by_auth(options: ApiOptions, reveal: Open) -> Credentials:
    """The headers, and what `auth` adds to a request."""
    headers = _headers(options, reveal)
    auth = options.auth
    if isinstance(auth, BearerAuth):
        token = _sendable(reveal(auth.token), "options.auth.token", auth.token)
        _put(headers, "Authorization", f"Bearer {token}")
        return Credentials(headers, f"check the token in {auth.token.origin or 'options.auth.token'}")
    if isinstance(auth, BasicAuth):
        username = reveal(auth.username)
        if not username_is_sendable(username):
            raise _not_sendable("options.auth.username", auth.username, "it has a colon or control characters")
        password = reveal(auth.password)
        pair = f"{username}:{password}".encode()
        _put(headers, "Authorization", f"Basic {base64.b64encode(pair).decode('ascii')}")
        return Credentials(
            headers,
            f"check the user name in {auth.username.origin or 'options.auth.username'} and the password in "
            f"{auth.password.origin or 'options.auth.password'}",
            parts=(username, password),
            username=username,
        )
    if isinstance(auth, ApiKeyAuth):
        secret = auth.api_key_value
        if auth.api_key_param is not None:
            query = {auth.api_key_param: reveal(secret)}
            hint = (
                f"check the parameter {auth.api_key_param} and the key in {secret.origin or 'options.auth.apiKeyValue'}"
            )
            return Credentials(headers, hint, query)
        _put(headers, str(auth.api_key_header), _sendable(reveal(secret), "options.auth.apiKeyValue", secret))
        return Credentials(
            headers,
            f"check the header {auth.api_key_header} and the key in {secret.origin or 'options.auth.apiKeyValue'}",
        )
    return Credentials(headers, "it wants credentials; set options.auth (bearer, basic, apikey or oauth2)")


def _params(auth: OAuth2Auth, reveal: Open) -> dict[str, FormField]:
    audience = {"audience": FormField(auth.audience)} if auth.audience else {}
    given = {
        name: FormField(reveal(secret), is_secret=_is_secret(name, secret)) for name, secret in auth.params.items()
    }
    return audience | given


def _put(headers: dict[str, str], name: str, value: str) -> None:
    """Set a header, in place of one of the same name in other case."""
    for other in [key for key in headers if key.lower() == name.lower()]:
        del headers[other]
    headers[name] = value


def _sendable(value: str, place: str, secret: SecretValue) -> str:
    """The value, if a header can carry it: a line break in a variable would else add headers of its own."""
    if not value or not header_value_is_sendable(value):
        why = "it is empty, has control characters or outer spaces, or is not ISO 8859-1"
        raise _not_sendable(place, secret, why)
    return value


def _not_sendable(place: str, secret: SecretValue, why: str) -> FatalError:
    where = f" ({secret.origin})" if secret.origin else ""
    return FatalError(
        Reason.SECRET_UNAVAILABLE, f"{place}{where} cannot be sent: {why}", category=Category.AUTHENTICATION
    )
