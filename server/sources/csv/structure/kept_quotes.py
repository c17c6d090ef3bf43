"""How far quoted fields are known to go on behind quotes that are kept in them.

Where stray quotes belong to the value, a field that opens with one may go on to the end of the window, and the next line's
field goes the same way from its own quote on: how a quoted field goes on depends on nothing but the place. So each place is
gone from once, and whoever comes to one later skips ahead; the time for a window stays in proportion to its bytes, however
many of its lines are broken.
"""

from __future__ import annotations

from bisect import bisect_left


class KeptQuotes:
    """The places behind kept quotes of one window, each inside a quoted field.

    Places that lead to one another are a chain, in order; a chain may run into another one.
    """

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, int]] = {}
        self._chains: list[list[int]] = []
        self._runs_into: list[tuple[int, int] | None] = []
        self._closed: dict[int, int] = {}
        self._open: dict[int, int] = {}

    def skip(self, place: int, stop: int) -> tuple[int, int]:
        """The last known place before `stop` that a field which is at `place` comes to, and the first on the way.

        Returns:
            Both are `place` when none is known.
        """
        if place not in self._places:
            return place, place
        chain, index = self._places[place]
        last, first = place, place
        while True:
            places = self._chains[chain]
            until = len(places) if places[-1] < stop else bisect_left(places, stop)
            if index + 1 < until:
                first = places[index + 1] if first == place else first
            last = places[until - 1] if until > index else last
            following = self._runs_into[chain]
            if until < len(places) or following is None:
                return last, first
            chain, index = following
            met = self._chains[chain][index]
            if met >= stop:
                return last, first
            last, first = met, met if first == place else first

    def add(self, place: int, following: int) -> None:
        """A field that is at `place` comes to `following` next."""
        if place not in self._places:
            self._places[place] = (len(self._chains), 0)
            self._chains.append([place])
            self._runs_into.append(None)
        chain, index = self._places[place]
        places = self._chains[chain]
        if index + 1 < len(places) or self._runs_into[chain] is not None:
            return
        if following in self._places:
            self._runs_into[chain] = self._places[following]
        else:
            self._places[following] = (chain, index + 1)
            places.append(following)

    def closing(self, place: int) -> int | None:
        """Behind which quote a field that is at `place` ends, if that is known."""
        return self._closed.get(place)

    def close(self, place: int, end: int) -> None:
        """A field that is at `place` ends at `end`, behind its closing quote."""
        self._closed[place] = end

    def is_open(self, place: int, stop: int) -> bool:
        """Whether no quote ends or is kept between `place` and `stop`, as far as is known."""
        return self._open.get(place) == stop

    def leave_open(self, place: int, stop: int) -> None:
        """No quote ends or is kept between `place` and `stop`."""
        self._open[place] = stop
