"""Writes the blocking client from the asyncio one, name by name; --check compares instead.

Both have the same methods, so a call of the service is written once, in aio.py (aio_schedules.py). What the two grpc
libraries do differently stands in channels.py, under the names that are exchanged here. Run by scripts/generate.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1] / "clients/python/src/techaura_sync"
# Asyncio -> blocking: module, and its docstring.
_MODULES: Final = {
    "aio.py": ("client.py", "The blocking client of SyncService"),
    "aio_schedules.py": ("schedules.py", "The calls on recurring syncs, blocking"),
}
_EXCHANGED: Final = {
    r"\[(\w+) async for \1 in (.*)\]": r"list(\2)",
    r"\basync (def|for|with)\b": r"\1",
    r"\bawait ": "",
    r"\bAwaitable\[None\]": "None",
    r"\ban `Async": "a `",
    r"\bAsync(SyncClient|SyncSchedules|Generator|Iterator)\b": r"\1",
    r"__a(enter|exit|iter)__": r"__\1__",
    r"\baclosing\b": "closing",
    r"\basyncio\b": "time",
    r"\bgrpc\.aio\.": "grpc.",
    r"\baio_(schedules|answered)\b": r"\1",
    r", Awaitable, ": ", ",
    r"; made inside a running event loop\.": ".",
}


def blocking(source: str, docstring: str) -> str:
    """The blocking form of an asyncio module.

    Args:
        source: the module.
        docstring: in place of its own.
    """
    own = ast.get_docstring(ast.parse(source), clean=False)
    code = source.replace(f'"""{own}"""', "", 1)
    for pattern, replacement in _EXCHANGED.items():
        code = re.sub(pattern, replacement, code)
    if left := re.search(r"\b(async|await|aio)\w*\b", code):
        raise ValueError(f"{left[0]!r} has no blocking form yet: scripts/blocking_client.py")
    return _formatted(f'"""{docstring}. Made from the asyncio one by scripts/generate; not edited by hand."""\n{code}')


def _formatted(code: str) -> str:
    ruff = Path(sysconfig.get_path("scripts")) / "ruff"
    name = ["--stdin-filename", str(_PACKAGE / "client.py"), "-"]
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        asked = [str(ruff), *command, *name]
        code = subprocess.run(asked, input=code, stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603
    return code


def main() -> int:
    """Write the modules, or with --check say which are stale."""
    stale = []
    for name, (target, docstring) in _MODULES.items():
        wanted, path = blocking((_PACKAGE / name).read_text(), docstring), _PACKAGE / target
        if not path.exists() or path.read_text() != wanted:
            stale.append(target)
            if "--check" not in sys.argv:
                path.write_text(wanted)
    if stale and "--check" in sys.argv:
        print(f"{', '.join(stale)}: stale, run scripts/generate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
