"""The command techaura-sync."""

from techaura_sync.cli.app import main

__all__ = ["main"]
