"""Settings of the server, read once from the environment (prefix TECHAURA_SYNC_).

Every queue, page, batch, retry and wait has its maximum here. They stand in one class, long as it is: a setting is one field, and whoever
looks for one, or for its limit, reads them from top to bottom. `.env.example` lists each setting with its default;
a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.core.cron import cron_problem, time_zone_problem
from server.core.host_patterns import comes_unchanged

PROJECT_DIR = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """What one server needs to know. Unset fields take the defaults below."""

    model_config = SettingsConfigDict(env_prefix="TECHAURA_SYNC_", frozen=True, extra="ignore")

    database_url: SecretStr = Field(
        SecretStr("sqlite+aiosqlite:///var/techaura_sync.db"),
        description="sqlite+aiosqlite:///PATH or mysql+aiomysql://USER:PASSWORD@HOST:PORT/DATABASE; TLS and several "
        "hosts: docs/guides/mysql.md",
    )
    database_pool_size_max: int = Field(10, ge=3, le=200, description="database connections at the most")
    database_connect_timeout_seconds: float = Field(
        3.0, gt=0, le=60, description="connecting to one database host; then the next one of the URL is tried"
    )
    database_start_wait_seconds: float = Field(
        60.0, ge=0, le=3600, description="a start waits for a database that cannot be reached yet for this long"
    )
    database_timeout_seconds: float = Field(60.0, gt=0, le=3600, description="one statement may take this long")
    database_lock_wait_seconds: int = Field(
        10, ge=1, le=3600, description="a statement waits this long for a row or a table that another connection has"
    )
    migrate_wait_seconds: float = Field(
        600.0, ge=0, le=86_400, description="a migration waits this long for tables that others have open"
    )

    grpc_host: str = Field("127.0.0.1", description="address the gRPC server listens on, or a socket file (unix:/path)")
    grpc_port: int = Field(50051, ge=0, le=65535, description="port of the gRPC server; 0 picks a free one")
    allow_open_listen: bool = Field(
        False,
        description="listen also on addresses that other machines reach, though callers are not asked who they are and nothing is "
        "encrypted",
    )
    auth: Literal["off", "required"] = Field(
        "off", description="required: every call needs an API key, made with `techaura-syncd keys create`"
    )
    oidc_issuer: str = Field(
        "", description="URL of an OpenID provider whose tokens let in beside API keys, as their `iss` says it"
    )
    oidc_audience: str = Field("", description="by which the provider knows this service: the `aud` of its tokens")
    oidc_jwks_url: str = Field("", description="where the provider's keys are; unset: what its discovery document says")
    oidc_scope_prefix: str = Field(
        "sync:", description="with which the words of a token's `scope` (or `scp`) begin that are for this service"
    )
    oidc_keys_seconds_max: float = Field(
        3600.0, ge=60, le=86_400, description="the provider is asked for its keys again after this"
    )
    api_keys_max: int = Field(1000, ge=1, le=100_000, description="API keys in use at the most")
    api_key_refresh_seconds: float = Field(
        5.0,
        gt=0,
        le=300,
        description="a revoked or expired API key lets in for so long at the most, and keeps a stream open for twice as long",
    )
    calls_per_second_max: float = Field(
        100.0, ge=1, le=100_000, description="calls of one API key in the long run; twice as many may come at once"
    )
    calls_open_max: int = Field(
        5000, ge=10, le=1_000_000, description="calls over gRPC that are open at once, streams included"
    )
    calls_open_per_key_max: int = Field(2500, ge=1, le=1_000_000, description="of those, calls of one API key")
    idempotency_key_days_max: int = Field(
        7,
        ge=1,
        le=365,
        description="a call that is sent again with its Idempotency-Key (request_id) is known for so long",
    )
    audit_days_max: int = Field(365, ge=1, le=36_500, description="what callers changed is on record for so long")
    grpc_call_seconds_max: float = Field(
        60.0, gt=0, le=3600, description="a call with one response may take this long, whatever its own deadline"
    )
    grpc_request_bytes_max: int = Field(1024 * 1024, ge=1024, description="largest gRPC message that a caller may send")
    grpc_message_bytes_max: int = Field(4 * 1024 * 1024, ge=1024, description="largest gRPC message that is sent")

    grpc_connections_max: int = Field(
        500,
        ge=1,
        le=100_000,
        description="open gRPC connections at the most, and no more than a sixth of the descriptors (ulimit -n)",
    )
    grpc_handshake_timeout_seconds: float = Field(
        5.0, gt=0, le=600, description="a connection that has not said that it speaks gRPC is closed after this"
    )
    readiness_interval_seconds: float = Field(
        1.0, gt=0, le=600, description="how often the server looks whether its database can serve calls"
    )
    readiness_timeout_seconds: float = Field(2.0, gt=0, le=600, description="one such look may take this long")

    data_roots: str = Field(
        f"{PROJECT_DIR / 'data'}:/data", description="colon-separated folders that files may be read from"
    )
    secret_key: SecretStr | None = Field(
        None, description="Fernet key for secrets in options; unset: made beside the embedded database"
    )

    time_zone: str = Field("America/Bogota", description="IANA time zone of RETRY_CRON")
    retry_cron: str = Field("0 3 * * *", description="when failed runs are taken up again")
    retry_count_max: int = Field(3, ge=0, le=100, description="nightly retries of one run at the most")
    retry_catch_up_seconds: int = Field(
        6 * 3600, ge=0, le=86400, description="a fire missed while the service was down is caught up within this"
    )
    retry_age_days_max: int = Field(7, ge=1, le=3650, description="failed runs older than this are left alone")

    retry_spread_seconds: int = Field(
        300, ge=0, le=6 * 3600, description="retried runs start at moments of their own within this"
    )
    schedule_period_seconds_min: int = Field(
        60, ge=60, le=86_400, description="a schedule whose fires come closer to each other is refused"
    )
    schedules_max: int = Field(1000, ge=1, le=10_000, description="recurring syncs at the most")
    schedule_interval_seconds: float = Field(
        5.0, gt=0, le=60, description="how often the service looks for schedules that are due"
    )
    retention_days: int = Field(
        30,
        ge=1,
        le=36_500,
        description="ended runs, their errors and batches are removed after this; the last "
        "completed run of each source stays",
    )
    retention_rows_per_transaction: int = Field(
        1000, ge=1, le=100_000, description="rows that the clean-up removes in one transaction"
    )
    retention_transactions_max: int = Field(
        1000, ge=1, le=1_000_000, description="transactions of one clean-up; the next hour goes on"
    )

    queue_runs_max: int = Field(
        1000, ge=1, le=1_000_000, description="runs that may wait; a trigger beyond them is refused (QUEUE_FULL)"
    )
    queue_runs_per_source_max: int = Field(10, ge=1, le=10_000, description="runs of one source that may wait")
    runs_concurrent_max: int = Field(
        2,
        ge=1,
        le=64,
        description="runs executed at once by one replica; beyond it, one of each source type of which none is executed",
    )
    poll_interval_seconds: float = Field(1.0, gt=0, le=60, description="how often a worker looks for pending runs")
    lease_ttl_seconds: float = Field(8.0, ge=1, le=3600, description="a silent owner loses its run after this")
    heartbeat_interval_seconds: float = Field(2.0, gt=0, le=600, description="how often an owner renews its lease")
    takeovers_max: int = Field(
        10, ge=1, le=10_000, description="owners of a run that may be lost in a row before a batch of it is committed"
    )
    control_interval_seconds: float = Field(
        0.2, gt=0, le=60, description="how often an owner looks whether a run is to be cancelled or paused"
    )
    stop_batch_seconds: float = Field(
        0.5,
        ge=0,
        le=600,
        description="time for the batch in hand of a run that is cancelled or paused; then it is rolled back",
    )
    stall_timeout_seconds: float = Field(
        300.0, gt=0, le=86_400, description="a source that delivers nothing for this long ends its run"
    )
    legacy_grace_seconds: float = Field(
        900.0, ge=0, le=7 * 86400, description="an in_progress row of the old service is taken over after this"
    )
    shutdown_timeout_seconds: float = Field(8.0, gt=0, le=600, description="time for running batches at a stop")

    source_tests_concurrent_max: int = Field(4, ge=1, le=100, description="tests of sources at once; more wait")
    source_test_seconds_max: float = Field(
        8.0, gt=0, le=300, description="one test of a source; keep it below GATEWAY_CALL_TIMEOUT_SECONDS"
    )
    source_test_readings_max: int = Field(
        16, ge=0, le=100, description="other readings of a source that one test tries; 0: none"
    )

    batch_retry_attempts_max: int = Field(6, ge=1, le=100, description="tries of one batch on passing faults")
    batch_retry_elapsed_seconds_max: float = Field(120.0, gt=0, le=3600, description="time for all of those tries")
    refused_statements_max: int = Field(
        50_000, ge=100, le=10_000_000, description="statements that find the rows of one batch which the table refuses"
    )
    refused_seconds_max: float = Field(
        300.0, ge=1, le=3600, description="one batch, once the table has refused a row of the run"
    )
    rejects_stored_max: int = Field(100_000, ge=0, le=10_000_000, description="error rows stored per run; all count")
    error_ratio_max: float = Field(0.10, ge=0, le=1, description="rejected rows, as a share, that a run survives")
    error_count_max: int = Field(1_000_000, ge=0, description="rejected rows that a run survives")
    touch_after_hours: float = Field(12.0, gt=0, le=24, description="unchanged rows get a fresh last_synced_at after")

    survey_rows_in_memory_max: int = Field(
        1_000_000, ge=1000, le=100_000_000, description="key digests of a file that are compared at once"
    )
    csv_block_bytes: int = Field(2 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024, description="CSV read at a time")
    csv_record_bytes_max: int = Field(16 * 1024 * 1024, ge=1024, le=1 << 30, description="longest CSV record")
    csv_columns_max: int = Field(4096, ge=1, le=65_536, description="columns of a CSV file at the most")
    csv_files_max: int = Field(10_000, ge=1, le=1_000_000, description="files of one run on a folder or a pattern")
    csv_folder_entries_max: int = Field(
        100_000, ge=1, le=10_000_000, description="entries of folders that one run on a folder or a pattern looks at"
    )
    csv_settle_seconds: float = Field(
        0.2, ge=0, le=60, description="a file written to more recently than this is looked at twice, this far apart"
    )
    csv_decompressed_bytes_max: int = Field(
        64 * 1024**3, ge=1024, description="content of a compressed CSV file at the most"
    )
    csv_compression_ratio_max: float = Field(
        250.0, ge=1, le=100_000, description="content of a compressed CSV file over its size"
    )
    workbook_cells_max: int = Field(
        50_000_000, ge=1000, description="cells with a value in the sheet of a workbook at the most"
    )
    workbook_text_chars_max: int = Field(
        128 * 1024 * 1024, ge=1024, description="texts that the cells of a workbook share, which are held in memory"
    )
    loaders_max: int = Field(
        2,
        ge=1,
        le=16,
        description="batches of one file that are written at once (MySQL and MariaDB), one connection each",
    )
    batch_rows_max: int = Field(131_072, ge=1, le=10_000_000, description="rows written in one transaction")

    http_timeout_seconds: float = Field(
        300.0, gt=0, le=3600, description="one page of a source API, redirects and body included"
    )
    http_connect_timeout_seconds: float = Field(
        10.0, gt=0, le=600, description="looking a source API's host up and connecting to it"
    )
    http_read_timeout_seconds: float = Field(
        20.0, gt=0, le=3600, description="a source API may send nothing, or take nothing, for this long"
    )
    http_host_requests_per_second_max: float = Field(
        0.0, ge=0, le=100_000, description="requests to one host, of all runs of a replica together; 0: no limit"
    )
    http_header_bytes_max: int = Field(
        64 * 1024, ge=1024, le=64 * 1024, description="headers of one answer of a source API"
    )
    http_page_bytes_max: int = Field(20 * 1024 * 1024, ge=1024, le=1 << 30, description="largest page of a source API")
    http_retry_attempts_max: int = Field(4, ge=1, le=100, description="tries of one page on passing faults")
    http_retry_wait_seconds_max: float = Field(30.0, ge=0, le=600, description="longest wait between those tries")
    http_retry_elapsed_seconds_max: float = Field(180.0, gt=0, le=3600, description="time for all tries of one page")
    http_wait_seconds_max: float = Field(
        900.0,
        ge=1,
        le=86_400,
        description="a run that its source asks to come back later waits as pending for so long, then looks again",
    )
    http_run_wait_seconds_max: float = Field(
        21_600.0, ge=0, le=604_800, description="all such waits of one run together; one that would be longer fails it"
    )
    http_circuit_failures_max: int = Field(
        6, ge=1, le=1000, description="failures in a row, of all runs of a replica, after which a host is left alone"
    )
    http_circuit_open_seconds: float = Field(
        10.0, gt=0, le=3600, description="a host is left alone for this long; each further failure doubles it"
    )
    http_circuit_open_seconds_max: float = Field(
        300.0, gt=0, le=86_400, description="a host is left alone for no longer than this, also where it asks for more"
    )
    http_circuit_hosts_max: int = Field(
        1000, ge=1, le=1_000_000, description="failing hosts that a replica remembers at the most"
    )
    http_page_items_max: int = Field(
        100_000, ge=1, le=10_000_000, description="items of one page of a source API; more fail the run"
    )
    http_pages_at_once_max: int = Field(
        4,
        ge=1,
        le=32,
        description="pages of one API run that are asked for at once, where the source has said how many there are; 1: in turn",
    )
    http_pages_max: int = Field(100_000, ge=1, le=100_000_000, description="pages of one API run; more fail it")
    http_items_max: int = Field(50_000_000, ge=1, description="items of one API run; more fail it")
    http_bytes_max: int = Field(64 << 30, ge=1024, description="bytes of one API run; more fail it")
    http_run_seconds_max: float = Field(86_400.0, gt=0, description="time for one attempt of an API run; more fails it")
    http_batch_rows: int = Field(5_000, ge=1, le=1_000_000, description="items of an API that are written at once")
    http_kept_bytes_max: int = Field(
        64 * 1024 * 1024,
        ge=0,
        le=1 << 40,
        description="pages of one API source, compressed and sealed, that are kept to be asked for only if they have changed; 0: none",
    )
    http_kept_pages_max: int = Field(10_000, ge=0, le=1_000_000, description="such pages of one API source at the most")
    http_kept_page_days_max: int = Field(
        7, ge=1, le=365, description="a page that was kept for longer is asked for in full, whatever its source says"
    )
    http_ca_file: str = Field("", description="PEM file of further certificate authorities for source APIs")
    allow_private_addresses: bool = Field(
        False, description="whether source APIs may have private, loopback or other non-public addresses"
    )
    allowed_hosts: str = Field(
        "",
        description="comma-separated hosts (host, host:port, *.domain) that source APIs may be on; empty: every host. A secret of "
        "the service without hosts of its own (SOURCE_NAME_HOSTS) is sent to these alone",
    )
    private_hosts: str = Field(
        "",
        description="hosts, in the same form, whose addresses may be private or loopback ones; link-local ones never",
    )
    secrets_dir: str = Field("", description='folder of the files that {"file": "name"} in options may name')

    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="port of Prometheus metrics (/metrics); unset: none; 0 picks a free one"
    )
    metrics_host: str = Field("127.0.0.1", description="address that metrics are served on")
    metrics_allowed_hosts: str = Field(
        "",
        description="comma-separated hosts (host, *.domain) that scrapes may name, besides localhost, 127.0.0.1, ::1 and "
        "METRICS_HOST; *: every host",
    )
    metrics_connections_max: int = Field(8, ge=1, le=1000, description="scrapes at once; one more is cut off")
    metrics_timeout_seconds: float = Field(
        5.0, gt=0, le=600, description="one scrape, from the opening of its connection to the last byte"
    )
    metrics_database_interval_seconds: float = Field(
        5.0, ge=0, le=3600, description="scrapes ask the database no more often than this"
    )
    metrics_database_timeout_seconds: float = Field(
        2.0, gt=0, le=600, description="the database has so long to answer a scrape; then its values are left out"
    )
    metrics_schedules_max: int = Field(
        100, ge=0, le=1000, description="schedules whose last success has a metric, oldest schedules first"
    )

    progress_interval_seconds: float = Field(0.25, gt=0, le=60, description="least time between two progress messages")
    follow_interval_seconds: float = Field(
        0.4, gt=0, le=60, description="how often a run that executes elsewhere is looked at"
    )

    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_equal_lines_max: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="log lines with the same event, action and reason that are written in LOG_EQUAL_LINES_SECONDS; of more, how "
        "many there were",
    )
    log_equal_lines_seconds: float = Field(60.0, gt=0, le=86_400, description="the interval of LOG_EQUAL_LINES_MAX")

    @model_validator(mode="after")
    def _leases_outlive_heartbeats(self) -> Self:
        if self.heartbeat_interval_seconds * 2 > self.lease_ttl_seconds:
            raise ValueError(
                "TECHAURA_SYNC_HEARTBEAT_INTERVAL_SECONDS must be at most half of TECHAURA_SYNC_LEASE_TTL_SECONDS, or "
                "runs are taken from owners that are well"
            )
        return self

    @model_validator(mode="after")
    def _tokens_are_asked_for(self) -> Self:
        if self.oidc_issuer and not (self.oidc_audience and self.auth == "required"):
            raise ValueError(
                "TECHAURA_SYNC_OIDC_ISSUER needs TECHAURA_SYNC_AUTH=required, and TECHAURA_SYNC_OIDC_AUDIENCE, or tokens for other "
                "services would let in here"
            )
        return self

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _url_is_safe(cls, value: str) -> str:
        if value and not comes_unchanged(value):
            raise ValueError("must be an https:// URL: keys that come in clear prove nothing")
        return value

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("time_zone")
    @classmethod
    def _time_zone_exists(cls, value: str) -> str:
        if problem := time_zone_problem(value):
            raise ValueError(problem)
        return value

    @field_validator("retry_cron")
    @classmethod
    def _cron_is_valid(cls, value: str) -> str:
        if problem := cron_problem(value):
            raise ValueError(problem)
        return value

    @field_validator("log_level")
    @classmethod
    def _log_level_exists(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError(f"{value!r} is none of DEBUG, INFO, WARNING, ERROR")
        return value.upper()

    @field_validator("data_roots")
    @classmethod
    def _roots_are_absolute(cls, value: str) -> str:
        roots = [part for part in value.split(":") if part]
        if not roots:
            raise ValueError("names no folder")
        for root in roots:
            if not Path(root).is_absolute():
                raise ValueError(f"{root!r} is not an absolute path")
        return value

    @property
    def data_root_paths(self) -> tuple[Path, ...]:
        """The folders of `data_roots`, in order."""
        return tuple(Path(part) for part in self.data_roots.split(":") if part)
