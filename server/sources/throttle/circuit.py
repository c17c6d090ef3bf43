"""Keeps the runs of one replica from asking a source host again that has just said no.

    closed      requests pass. Several failures in a row, of whichever runs, open the circuit; one response that asks
    for
                patience (Retry-After) opens it for as long as it asks.
    open        no request passes: each is refused with the time that is left, and its run waits or is retried later.
    half-open   the time is over: one request passes and decides; the others are refused meanwhile.

It knows only what this replica has seen; replicas do not share it. A host whose requests pass has no entry, so the table
holds only troubled hosts, `hosts_max` at most; the one that was left alone longest goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from server.core.clock import Clock
from server.core.config import Settings
from server.core.errors import RetryableError, SyncError
from server.core.reasons import Reason

_COUNTED: Final = Reason.SOURCE_UNAVAILABLE
_PROBE_SECONDS: Final = 1.0


class ComeBackLaterError(RetryableError):
    """A source answered that it wants to be asked again later: what is asked for is still being made. No failure."""


class RateLimitedError(ComeBackLaterError):
    """A host answered that it is asked too often. It is there, so this is no failure; but what it asks for holds.

    How fast such a host is asked is the affair of host_pace.py: a circuit would end the runs of its other sources.
    """


class HostPausedError(RetryableError):
    """The source is not to be asked now: it has told this run or others when to come back. No failure of the run."""


@dataclass(slots=True)
class _Host:
    """A troubled host.

    Args:
        failures: in a row.
        open_until_seconds: of the monotonic clock.
        probing: whether the one request that may pass is on its way.
    """

    failures: int = 0
    open_until_seconds: float = 0.0
    probing: bool = False


class Circuits:
    """The circuits of every source host.

    Args:
        failures_max: failures in a row that open a circuit. More than one run's own tries, so that one run that fails
            alone does not hinder itself.
        open_seconds: how long it is open the first time; each further failure doubles it.
        open_seconds_max: the longest time, also where a source asks for more.
        hosts_max: hosts that are remembered.
    """

    def __init__(
        self,
        *,
        failures_max: int = 6,
        open_seconds: float = 10.0,
        open_seconds_max: float = 300.0,
        hosts_max: int = 1000,
    ) -> None:
        self._failures_max = failures_max
        self._open_seconds = open_seconds
        self._open_seconds_max = open_seconds_max
        self._hosts_max = hosts_max
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    @classmethod
    def from_settings(cls, settings: Settings) -> Circuits:
        """The circuits that the settings ask for."""
        return cls(
            failures_max=settings.http_circuit_failures_max,
            open_seconds=settings.http_circuit_open_seconds,
            open_seconds_max=settings.http_circuit_open_seconds_max,
            hosts_max=settings.http_circuit_hosts_max,
        )

    def __len__(self) -> int:
        return len(self._hosts)

    @asynccontextmanager
    async def passing(self, host: str, clock: Clock, *, is_counted: bool = True) -> AsyncIterator[None]:
        """One request to a host; how the block ends tells how the host fares.

        Args:
            is_counted: whether a failure says something of the host: not one of several that were sent together.

        Raises:
            HostPausedError: SOURCE_UNAVAILABLE, the circuit is open.
        """
        is_probe = self._admit(host, clock.monotonic_seconds())
        try:
            yield
        except SyncError as error:
            is_of_host = isinstance(error, RateLimitedError) and error.retry_after_seconds is not None
            is_answer = isinstance(error, ComeBackLaterError) and not is_of_host
            if isinstance(error, RetryableError) and error.reason == _COUNTED and not is_answer:
                if is_counted:
                    self._failed(host, clock.monotonic_seconds(), error.retry_after_seconds)
            else:
                # Any other status is a response: the host is there.
                self._hosts.pop(host, None)
            raise
        else:
            self._hosts.pop(host, None)
        finally:
            if is_probe and host in self._hosts:
                self._hosts[host].probing = False

    def _admit(self, host: str, now_seconds: float) -> bool:
        """Whether the request is a probe of a host whose circuit was open."""
        state = self._hosts.get(host)
        if state is None or not state.open_until_seconds:
            return False
        left_seconds = state.open_until_seconds - now_seconds
        if left_seconds > 0 or state.probing:
            wait_seconds = max(left_seconds, _PROBE_SECONDS)
            raise HostPausedError(
                _COUNTED,
                f"{host} was not asked, since it failed or asked for patience just now",
                retry_after_seconds=wait_seconds,
            )
        state.probing = True
        return True

    def _failed(self, host: str, now_seconds: float, asked_wait_seconds: float | None) -> None:
        state = self._hosts.setdefault(host, _Host())
        self._hosts.move_to_end(host)
        state.failures += 1
        wait_seconds = 0.0
        if state.failures >= self._failures_max:
            wait_seconds = self._open_seconds * 2.0 ** min(state.failures - self._failures_max, 30)
        wait_seconds = min(max(wait_seconds, asked_wait_seconds or 0.0), self._open_seconds_max)
        if wait_seconds:
            state.open_until_seconds = max(state.open_until_seconds, now_seconds + wait_seconds)
        while len(self._hosts) > self._hosts_max:
            self._hosts.popitem(last=False)
