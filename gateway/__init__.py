"""The REST gateway: /v1/sync over HTTP to SyncService over gRPC, without any logic of its own."""
