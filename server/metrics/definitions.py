"""Every metric, once: type, name, what it says, labels and buckets. docs/metrics.md has them as a table.

Names are those of the Prometheus conventions. No label value comes from a caller, a source or a file: methods, codes, statuses,
reasons, tables and types are closed sets, and whatever is not in them is `other` or `unknown`. The ids of schedules are the
one exception; TECHAURA_SYNC_METRICS_SCHEDULES_MAX bounds them.
"""

from __future__ import annotations

from typing import Final

from server.metrics.definition import Definition, Kind

C, G, H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

_CALL_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STATEMENT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_BATCH_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_RUN_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
_LEASE_SECONDS: Final = (0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 15.0, 60.0)
_LAG_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# The process.
BUILD = Definition(G, "techaura_sync_build_info", "1; the version of the service and of Python.", ("version", "python"))
LOOP_LAG = Definition(
    H, "techaura_sync_event_loop_lag_seconds", "How late the event loop woke a timer.", buckets=_LAG_SECONDS
)

# gRPC.
RPC_STARTED = Definition(C, "techaura_sync_rpc_started_total", "Calls that began.", ("method",))
RPC_HANDLED = Definition(C, "techaura_sync_rpc_handled_total", "Calls that ended, by status.", ("method", "code"))
RPC_SECONDS = Definition(
    H, "techaura_sync_rpc_duration_seconds", "Time of calls that answer once.", ("method",), _CALL_SECONDS
)
RPC_STREAMS = Definition(G, "techaura_sync_rpc_streams", "Calls that stream their answers now.", ("method",))

# Runs.
RUNS = Definition(G, "techaura_sync_runs", "Runs in the database, by status.", ("status",))
RUNS_CLAIMED = Definition(C, "techaura_sync_runs_claimed_total", "Attempts that began on this replica.")
TAKEOVERS = Definition(C, "techaura_sync_takeovers_total", "Runs that this replica took over from a silent owner.")
RUNS_ENDED = Definition(
    C,
    "techaura_sync_runs_ended_total",
    "Attempts that ended on this replica, by verdict; `lost`: another replica owns the run.",
    ("source_type", "ending"),
)
RUN_FAILURES = Definition(C, "techaura_sync_run_failures_total", "Attempts that failed, by reason.", ("reason",))
RUN_SECONDS = Definition(
    H, "techaura_sync_run_duration_seconds", "Time of attempts, by verdict.", ("source_type", "ending"), _RUN_SECONDS
)
RUNS_RETRIED = Definition(C, "techaura_sync_nightly_retries_total", "Failed runs that the nightly retry took up.")

# What waits.
QUEUE_RUNS = Definition(
    G,
    "techaura_sync_queue_runs",
    "Pending runs: `due`, `delayed` (for a retry or their source) or `paused`.",
    ("state",),
)
QUEUE_MAX = Definition(G, "techaura_sync_queue_runs_max", "Runs that may wait (TECHAURA_SYNC_QUEUE_RUNS_MAX).")
QUEUE_AGE = Definition(
    G, "techaura_sync_queue_oldest_age_seconds", "How long the run that is due for longest has waited; 0 without one."
)
RUNS_UNOWNED = Definition(
    G, "techaura_sync_runs_unowned", "Runs in progress whose lease is over and that nobody has taken over yet."
)
WAITS = Definition(
    C,
    "techaura_sync_waits_total",
    "Waits for the database that began, by who waits (`run`, `claim`) and why.",
    ("part", "reason"),
)
WAIT_SECONDS = Definition(C, "techaura_sync_wait_seconds_total", "Time of such waits that are over.", ("part",))

# Batches.
ROWS = Definition(
    C,
    "techaura_sync_rows_total",
    "Records of committed batches, by what became of them.",
    ("target", "outcome"),
)
REJECTS = Definition(C, "techaura_sync_rejects_total", "Rejected records of committed batches, by kind.", ("kind",))
BYTES = Definition(C, "techaura_sync_source_bytes_total", "Bytes of sources in committed batches.", ("target",))
BATCH_SECONDS = Definition(
    H, "techaura_sync_batch_duration_seconds", "Time to write a batch, every try included.", ("target",), _BATCH_SECONDS
)
BATCH_RETRIES = Definition(
    C,
    "techaura_sync_batch_retries_total",
    "Tries to commit a batch that failed on a passing fault of the database.",
    ("target", "reason"),
)

# Leases.
LEASE_SECONDS = Definition(
    H,
    "techaura_sync_lease_renewal_interval_seconds",
    "Time between two renewals of a lease; past TECHAURA_SYNC_LEASE_TTL_SECONDS the run is lost.",
    buckets=_LEASE_SECONDS,
)
LEASE_FAILURES = Definition(
    C, "techaura_sync_lease_renewal_failures_total", "Renewals of leases that the database did not take."
)

# Sources.
SOURCE_REQUESTS = Definition(
    C,
    "techaura_sync_source_requests_total",
    "Requests to source APIs, by class of status, `timeout` or `failed`.",
    ("status",),
)
SOURCE_SECONDS = Definition(
    H,
    "techaura_sync_source_response_seconds",
    "Time until a source API sent the head of its answer.",
    buckets=_BATCH_SECONDS,
)
SOURCE_WAIT_SECONDS = Definition(
    C,
    "techaura_sync_source_wait_seconds_total",
    "Time that requests to source APIs waited for their turn: budgets, and what hosts asked for.",
)

# Schedules.
SCHEDULE_FIRES = Definition(C, "techaura_sync_schedule_fires_total", "Fires of schedules, by outcome.", ("outcome",))
SCHEDULE_AGE = Definition(
    G,
    "techaura_sync_schedule_last_success_age_seconds",
    "Time since the source of a schedule last completed a run; since the schedule counts, where it never has.",
    ("schedule_id", "source_type"),
)
SCHEDULE_INTERVAL = Definition(
    G,
    "techaura_sync_schedule_interval_seconds",
    "The longest time between two of the next fires of a schedule.",
    ("schedule_id", "source_type"),
)
SCHEDULES_UNSEEN = Definition(
    G,
    "techaura_sync_schedules_unobserved",
    "1 while there are more schedules than have metrics (TECHAURA_SYNC_METRICS_SCHEDULES_MAX).",
)

# The database.
DATABASE_UP = Definition(
    G, "techaura_sync_database_up", "Whether the database answered the questions of the last scrape."
)
READY = Definition(G, "techaura_sync_ready", "Whether calls can be served, as /readyz says.")
POOL_CONNECTIONS = Definition(G, "techaura_sync_database_pool_connections", "Connections of the pool in use.", ())
POOL_MAX = Definition(
    G, "techaura_sync_database_pool_connections_max", "Connections at most (TECHAURA_SYNC_DATABASE_POOL_SIZE_MAX)."
)
POOL_SECONDS = Definition(
    H,
    "techaura_sync_database_connection_wait_seconds",
    "Time until a transaction had its connection, from the pool or newly made.",
    buckets=_STATEMENT_SECONDS,
)
STATEMENT_SECONDS = Definition(
    H, "techaura_sync_database_statement_seconds", "Time of statements, by verb.", ("verb",), _STATEMENT_SECONDS
)
STATEMENT_FAULTS = Definition(
    C,
    "techaura_sync_database_faults_total",
    "Statements and connections that failed, by reason; a start tries some that it may not have.",
    ("reason",),
)
DISK_FREE = Definition(
    G,
    "techaura_sync_embedded_database_free_bytes",
    "Free space on the disk of the embedded database; absent with a server.",
)

# The gateway.
HTTP_REQUESTS = Definition(
    C,
    "techaura_sync_http_requests_total",
    "Requests that reached a route, by its template; status `none`: the caller left first.",
    ("route", "method", "status"),
)
HTTP_SECONDS = Definition(
    H, "techaura_sync_http_response_seconds", "Time until the head of a response.", ("route",), _CALL_SECONDS
)
HTTP_CONNECTIONS = Definition(G, "techaura_sync_http_connections", "Open connections of the gateway.")
HTTP_STREAMS = Definition(G, "techaura_sync_http_streams", "Open event streams and downloads.")
HTTP_REFUSED = Definition(
    C, "techaura_sync_http_connections_refused_total", "Connections refused or cut off, by why.", ("why",)
)

DEFINITIONS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Definition))
