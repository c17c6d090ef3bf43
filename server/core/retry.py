"""Whether, and when, something that failed is tried again: a pure decision.

Capped exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", 2015): the wait before try n is
random in [0, min(cap, base * 2^n)), so that many callers that failed together don't come back together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of one series of tries.

    Args:
        attempts_max: tries at the most, the first one included.
        elapsed_seconds_max: no try begins later than this after the first.
        wait_base_seconds, wait_max_seconds: the first bound of the wait, and the last.
    """

    attempts_max: int
    elapsed_seconds_max: float
    wait_base_seconds: float = 0.2
    wait_max_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try again after this wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Don't try again; `why` says which limit was reached."""

    why: str


def decide(
    policy: RetryPolicy,
    *,
    retryable: bool,
    attempt: int,
    elapsed_seconds: float,
    randomness: float,
    asked_wait_seconds: float | None = None,
) -> RetryAfter | GiveUp:
    """What to do after try number `attempt` (from 1) has failed.

    Args:
        retryable: whether trying again can help at all.
        elapsed_seconds: since the first try began.
        randomness: in [0, 1).
        asked_wait_seconds: the least wait that the other side asked for.
    """
    if not retryable:
        return GiveUp("trying again cannot help")
    if attempt >= policy.attempts_max:
        return GiveUp(f"{attempt} tries failed")
    bound = min(policy.wait_max_seconds, policy.wait_base_seconds * 2.0 ** (attempt - 1))
    wait = max(bound * randomness, asked_wait_seconds or 0.0)
    if elapsed_seconds + wait > policy.elapsed_seconds_max:
        return GiveUp(f"no success within {policy.elapsed_seconds_max:g} s")
    return RetryAfter(wait)
