"""What a scrape gets: the text of every metric in one registry."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from server.metrics import definitions


class Exposition:
    """A registry of its own, with the metrics of the process in it.

    `before_scrape` are awaited one after the other, before the text is made in a thread.
    """

    def __init__(self) -> None:
        # Of the library as a whole: a second series for each counter, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        self.before_scrape: list[Callable[[], Awaitable[None]]] = []
        ProcessCollector(registry=self.registry)
        build = definitions.BUILD.gauge(self.registry)
        build.labels(version("techaura-sync"), platform.python_version()).set(1)

    async def text(self, accept: str) -> tuple[bytes, str]:
        """Every metric.

        Args:
            accept: which form is wanted, as the header says it.

        Returns:
            The text and its content type.
        """
        for prepare in self.before_scrape:
            await prepare()
        encode, content_type = choose_encoder(accept)
        return await asyncio.to_thread(encode, self.registry), content_type
