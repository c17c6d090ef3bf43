"""The client of the service, calling for whoever sent a request."""

from __future__ import annotations

from starlette.requests import Request
from techaura_sync import AsyncSyncClient
from techaura_sync.channels import Metadata
from techaura_sync.request_ids import REQUEST_ID_KEY

from gateway.config import GatewaySettings


def client(request: Request) -> AsyncSyncClient:
    """A client of the service that calls it for whoever sent a request."""
    shared: AsyncSyncClient = request.app.state.client
    credential = request.headers.get("authorization")
    metadata: Metadata = ((REQUEST_ID_KEY, request.state.request_id),)
    # What is no text of a header is no credential either; gRPC would not send it.
    if credential is not None and credential.isascii() and credential.isprintable():
        metadata = (*metadata, ("authorization", credential))
    return shared.carrying(metadata)


async def check_caller(request: Request) -> None:
    """Have the service say whether it lets the caller in, where it asks callers who they are.

    Raises:
        SyncServiceError: UNAUTHENTICATED, or nothing answers.
    """
    settings: GatewaySettings = request.app.state.settings
    if settings.auth == "required":
        await client(request).caller()
