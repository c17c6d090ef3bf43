"""Client of the TechAura Sync service, blocking and asyncio.

Messages are the generated ones of `techaura.sync.v1`; failures are `SyncServiceError`, never a bare `grpc.RpcError`.
"""

from techaura_sync.aio import AsyncSyncClient
from techaura_sync.client import SyncClient
from techaura_sync.errors import SyncServiceError
from techaura_sync.requests import CallLimits
from techaura_sync.spec import SyncSpec, sync_spec

__all__ = ["AsyncSyncClient", "CallLimits", "SyncClient", "SyncServiceError", "SyncSpec", "sync_spec"]
