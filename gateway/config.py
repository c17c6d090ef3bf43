"""Settings of the gateway, read once from the environment (prefix TECHAURA_SYNC_)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """The settings of one gateway. Unset fields take the defaults below."""

    model_config = SettingsConfigDict(env_prefix="TECHAURA_SYNC_", frozen=True, extra="ignore")

    http_host: str = Field(default="127.0.0.1", description="address the REST gateway listens on")
    http_port: int = Field(default=3006, ge=0, le=65535, description="port of the REST gateway; 0 picks a free one")
    auth: Literal["off", "required"] = Field(
        default="off", description="required: every call needs an API key, made with `techaura-syncd keys create`"
    )
    http_body_bytes_max: int = Field(
        default=128 * 1024, ge=1024, le=64 * 1024 * 1024, description="largest request body"
    )
    gateway_allowed_hosts: str = Field(
        default="",
        description="comma-separated hosts (host, *.domain) that requests may name, and whose web pages may send them, "
        "besides localhost, 127.0.0.1, ::1 and HTTP_HOST; with an HTTP_HOST of 0.0.0.0 or :: any IP address may be named "
        "too; *: every host may be named",
    )
    http_json_depth_max: int = Field(default=32, ge=4, le=500, description="levels of nesting in a JSON body")

    http_head_bytes_max: int = Field(
        default=32 * 1024, ge=1024, le=1024 * 1024, description="largest head of a request (target and headers)"
    )
    http_headers_max: int = Field(default=100, ge=10, le=10_000, description="most headers in a request")
    http_target_bytes_max: int = Field(
        default=8 * 1024, ge=256, le=1024 * 1024, description="longest target (path and query) of a request"
    )

    grpc_target: str = Field(default="127.0.0.1:50051", min_length=1, description="host:port of the gRPC server")

    gateway_call_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="the gateway waits this long for one response of the gRPC server"
    )
    gateway_wait_seconds_max: int = Field(
        default=60, ge=1, le=3600, description="a trigger with ?wait= may be answered this late"
    )
    gateway_ready_timeout_seconds: float = Field(
        default=2.0, gt=0, le=600, description="/readyz waits this long for the gRPC server, then returns 503"
    )
    gateway_watch_retries_max: int = Field(
        default=8, ge=0, le=100, description="consecutive attempts to resume a broken event stream"
    )
    gateway_ping_interval_seconds: float = Field(
        default=15.0, gt=0, le=600, description="an idle event stream gets a comment after this"
    )
    gateway_head_timeout_seconds: float = Field(
        default=10.0, gt=0, le=600, description="the head of a request must arrive within this"
    )
    gateway_body_timeout_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="the body of a request must arrive within this"
    )
    gateway_idle_timeout_seconds: int = Field(
        default=15, ge=1, le=3600, description="an idle connection is closed after this"
    )
    gateway_write_timeout_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="a caller that reads nothing of its response is cut off after this"
    )
    gateway_connections_max: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="most open connections, and at most a third of the descriptors (ulimit -n); a new one takes "
        "the place of the one that has kept the gateway waiting longest",
    )
    gateway_event_streams_max: int = Field(
        default=250,
        ge=1,
        le=100_000,
        description="most event streams and downloads, and at most half of the connections",
    )
    gateway_shutdown_timeout_seconds: float = Field(
        default=3.0, gt=0, le=600, description="time for open requests and event streams to end at shutdown"
    )
