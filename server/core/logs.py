"""Logs: one event a line on standard error, as JSON, or coloured text on a terminal.

Each line has an action, and those of a run have its run_id, attempt and owner, which the worker binds once. Never row contents,
never secrets: tracebacks show where, not the values (local variables are not rendered), and errors of the database arrive
without statement and parameters. Floods of equal lines are collapsed (log_floods.py).
"""

from __future__ import annotations

import atexit
import logging
import sys
from contextvars import Context
from functools import partial
from typing import Final

import structlog

from server.core.clock import Clock, SystemClock
from server.core.config import Settings
from server.core.log_floods import LEFT_OUT, FloodFilter, FloodGate, FloodProcessor, LineKind

_LEVELS: Final = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


def configure_logging(settings: Settings, clock: Clock | None = None) -> None:
    """Set up structlog, and hand the log lines of libraries to it from WARNING on.

    Args:
        settings: level, and how many equal lines pass.
        clock: for the intervals of floods.
    """
    number = logging.getLevelNamesMapping()[settings.log_level]
    terminal = sys.stderr.isatty()
    gate = FloodGate(
        clock or SystemClock(), settings.log_equal_lines_max, settings.log_equal_lines_seconds, _say_left_out
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, FloodProcessor(gate), *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(FloodFilter(gate))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    atexit.register(gate.tell_all)


def _say_left_out(kind: LineKind, count: int) -> None:
    level = _LEVELS.get(kind.level, logging.INFO)
    say = partial(structlog.get_logger().log, level, LEFT_OUT)
    # In no context: it is not a line of whichever run happens to log now.
    Context().run(say, action=kind.action, lines=count, of_event=kind.event, reason=kind.reason)
