"""Tests of the REST gateway, over real sockets, against a scripted SyncService."""
