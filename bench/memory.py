"""Peak resident memory of a process, read from the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Self


class PeakMemory:
    """Resets the kernel's high-water mark of a process, and reads it again.

    Args:
        pid: the process.
    """

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def __enter__(self) -> Self:
        (self._folder / "clear_refs").write_text("5")
        return self

    def __exit__(self, *_exc: object) -> None:
        return None

    @property
    def peak_mib(self) -> float:
        """The most memory that was resident since, in MiB."""
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the kernel does not tell VmHWM")
