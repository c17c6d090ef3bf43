"""Who a call is from, and whether they may make it now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from server.access.api_keys import PREFIX
from server.access.key_ring import KeyRing
from server.access.pace import CallPace
from server.core.callers import ANYONE, Caller, Scope
from server.core.errors import PermissionDeniedError, UnauthenticatedError

if TYPE_CHECKING:
    from server.access.oidc import TokenJudge

_SCHEME: Final = "bearer "


class Gate:
    """Lets callers in.

    Args:
        ring: knows them by their keys; None where nobody is asked who they are.
        judge: knows them by tokens of an OpenID provider; None without one.
        pace: how many calls each may make.
    """

    def __init__(self, ring: KeyRing | None, judge: TokenJudge | None, pace: CallPace) -> None:
        self._ring = ring
        self._judge = judge
        self._pace = pace

    @property
    def asks(self) -> bool:
        """Whether callers are asked who they are."""
        return self._ring is not None

    async def caller(self, metadata: Mapping[str, str]) -> Caller:
        """Who sent a call.

        Args:
            metadata: of the call, names in lower case.

        Raises:
            UnauthenticatedError: it carries no valid credential.
            DatabaseError, RetryableError: nobody can tell.
        """
        if self._ring is None:
            return ANYONE
        credential = metadata.get("authorization", "")
        if not credential:
            raise UnauthenticatedError("the call carries no API key and no token")
        found = None
        if credential[: len(_SCHEME)].lower() == _SCHEME:
            found = await self._known(self._ring, credential[len(_SCHEME) :].strip())
        if found is None:
            raise UnauthenticatedError("the call's API key or token is not valid: unknown, revoked or expired")
        return found

    async def _known(self, ring: KeyRing, credential: str) -> Caller | None:
        if self._judge is None or credential.startswith(PREFIX):
            return await ring.caller_of(credential)
        return await self._judge.caller_of(credential)

    def check(self, caller: Caller, scope: Scope | None) -> None:
        """Make sure that a caller may make a call of a kind now; None is of none.

        Raises:
            PermissionDeniedError, CallsLimitedError
        """
        self.check_scope(caller, scope)
        if self.asks:
            self._pace.take(caller.name)

    @staticmethod
    def check_scope(caller: Caller, scope: Scope | None) -> None:
        """Make sure that a caller may make calls of a kind; None is of none.

        Raises:
            PermissionDeniedError
        """
        if scope is not None and not caller.may(scope):
            raise PermissionDeniedError(
                f"this call needs the scope {scope}, which the key {caller.name!r} does not have"
            )
