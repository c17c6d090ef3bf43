"""Seconds from starting the program to SERVING, on an embedded database that is migrated already; and idle memory.

usage: scripts/bench start [--count N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.support.service import environment, service_running


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=7)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory(prefix="techaura-bench-") as name:
        folder = Path(name)
        environ = environment(f"sqlite+aiosqlite:///{folder}/sync.db", folder)
        (folder / "one.csv").write_text("title\na\n")
        with service_running(folder, environ, installed=True):
            pass
        seconds, memory_mib = [], 0.0
        for _ in range(count):
            started = time.perf_counter()
            with service_running(folder, environ, installed=True) as service:
                seconds.append(time.perf_counter() - started)
                # After a first run everything that is loaded late is there.
                service.run("csv", "one.csv")
                status = Path(f"/proc/{service.process.pid}/status").read_text()
                (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
                memory_mib = max(memory_mib, int(line.split()[1]) / 1024)
    print(
        f"start to SERVING: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s of {count} (goal 1.5)"
    )
    print(f"idle memory, server and gateway in one process: {memory_mib:.0f} MiB (goal 200)")


if __name__ == "__main__":
    main()
