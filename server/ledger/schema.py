"""The ledger's tables, and the migrations that make them.

Money is integer nano-dollars; times are UTC epoch seconds (REAL). Rows of `calls` and `attempts`
are written once and never updated; corrections are rows of `adjustments`. Migrations only add.

calls, attempts, decisions     what happened, one row per call, per attempt, per routing decision
inflight                       what is happening: one row per running call, deleted as it ends
usage_hour                     hourly totals, written in the transaction that writes the call;
                               `hour` counts hours since the epoch, `cost_nano` has the presumed;
                               `failed_nano` is what attempts cost that failed
model_hour                     the same by model alone, for reports of long spans
status_hour                    the same of whole calls, by how they ended
budget_windows, budget_events  spent and reserved money per budget and window, and what happened
reservations, reservation_windows   money held by running attempts, and the windows it counts in
circuits, circuit_events       is a model at a provider usable, since when, why; `hold_note` is
                               the user's reason for a hold by hand
servers                        one row per server process, with a heartbeat and its sums;
                               `config_file` tells the text of config.toml it goes by from others,
                               `reaped_by` is the owner that found it dead, NULL after a goodbye
control, watchers              requests to running servers; who is watching live progress
counters, meta                 draws of round-robin strategies; versions and the commit counter
speeds                         how fast a model at a provider has been lately (speeds.py)
idempotency                    keys callers gave their calls, and the calls they belong to
approvals                      questions to the user whether a call may exceed a budget, answered
client_calls                   the calls of the last minute, of clients whose rate is limited
estimates                      what calls of a model use in fact, as logarithms (estimates.py)
first_uses                     providers a project may use or not, where the user wants to be asked
alerts                         what was told to the user's own program, so that it is told once
engines, engine_users          the local engines we start, one row each, and the servers using them
provider_reports, provider_tests    providers as each server sees them, and their last tests
"""

VERSION = 3
MIN_READER = 1
MIN_WRITER = 2  # since then a call is counted in status_hour and model_hour too

V1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id TEXT NOT NULL UNIQUE,
    tool TEXT NOT NULL,
    server TEXT NOT NULL,
    client TEXT NOT NULL,
    project TEXT NOT NULL,
    task TEXT,
    strategy TEXT,
    privacy TEXT NOT NULL DEFAULT 'any',
    provider TEXT,
    model TEXT,
    status TEXT NOT NULL CHECK (status IN
        ('ok', 'failed', 'refused', 'cancelled', 'timeout', 'lost')),
    finish_reason TEXT,
    error_kind TEXT,
    error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    started REAL NOT NULL,
    first_token_at REAL,
    ended REAL NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cached_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    usage_estimated INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER,
    cost_kind TEXT NOT NULL DEFAULT 'none' CHECK (cost_kind IN
        ('none', 'actual', 'estimated', 'presumed', 'unknown')),
    trail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX calls_ended ON calls (ended);

CREATE TABLE attempts (
    call_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    started REAL NOT NULL,
    first_token_at REAL,
    ended REAL NOT NULL,
    outcome TEXT NOT NULL,
    http_status INTEGER,
    error TEXT,
    provider_request_id TEXT,
    answered_by TEXT,
    waited_s REAL NOT NULL DEFAULT 0,
    waited_for TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cached_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    usage_estimated INTEGER NOT NULL DEFAULT 0,
    reserved_nano INTEGER,
    cost_nano INTEGER,
    cost_kind TEXT NOT NULL DEFAULT 'none' CHECK (cost_kind IN
        ('none', 'actual', 'estimated', 'presumed', 'unknown')),
    rates TEXT,
    price_source TEXT,
    PRIMARY KEY (call_id, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_started ON attempts (started);

CREATE TABLE adjustments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    call_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    delta_nano INTEGER NOT NULL,
    why TEXT NOT NULL,
    by TEXT NOT NULL
) STRICT;

CREATE TABLE decisions (call_id TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE inflight (
    call_id TEXT PRIMARY KEY,
    tool TEXT NOT NULL,
    server TEXT NOT NULL,
    owner TEXT NOT NULL,
    client TEXT NOT NULL,
    project TEXT NOT NULL,
    task TEXT,
    strategy TEXT,
    privacy TEXT NOT NULL DEFAULT 'any',
    provider TEXT,
    model TEXT,
    phase TEXT NOT NULL CHECK (phase IN ('queue', 'connect', 'wait', 'stream', 'retry')),
    attempt INTEGER NOT NULL DEFAULT 0,
    started REAL NOT NULL,
    attempt_started REAL,
    first_token_at REAL,
    beat REAL NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    reserved_nano INTEGER NOT NULL DEFAULT 0,
    next_try_at REAL,
    trail TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_hour (
    hour INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    task TEXT NOT NULL,
    client TEXT NOT NULL,
    project TEXT NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    presumed_nano INTEGER NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, provider, model, task, client, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_windows (
    budget TEXT NOT NULL,
    window_start REAL NOT NULL,
    window_end REAL,
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    limit_nano INTEGER NOT NULL CHECK (limit_nano >= 0),
    spent_nano INTEGER NOT NULL DEFAULT 0 CHECK (spent_nano >= 0),
    reserved_nano INTEGER NOT NULL DEFAULT 0 CHECK (reserved_nano >= 0),
    warn_at REAL NOT NULL DEFAULT 0.8,
    at_limit TEXT NOT NULL DEFAULT 'refuse',
    warned_at REAL,
    PRIMARY KEY (budget, window_start)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    budget TEXT NOT NULL,
    window_start REAL NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN
        ('warned', 'refused', 'presumed', 'overrun', 'changed', 'reset')),
    call_id TEXT,
    amount_nano INTEGER,
    spent_nano INTEGER NOT NULL,
    reserved_nano INTEGER NOT NULL,
    limit_nano INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT;

CREATE TABLE reservations (
    id TEXT PRIMARY KEY,
    call_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    owner TEXT NOT NULL,
    provider TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    amount_nano INTEGER NOT NULL CHECK (amount_nano >= 0),
    state TEXT NOT NULL CHECK (state IN ('held', 'settled', 'released', 'presumed')),
    cost_nano INTEGER,
    created REAL NOT NULL,
    lease_until REAL NOT NULL,
    closed REAL
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_held ON reservations (owner) WHERE state = 'held';

CREATE TABLE reservation_windows (
    reservation TEXT NOT NULL,
    budget TEXT NOT NULL,
    window_start REAL NOT NULL,
    PRIMARY KEY (reservation, budget)
) STRICT, WITHOUT ROWID;

CREATE TABLE circuits (
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    failures INTEGER NOT NULL DEFAULT 0,
    first_failure_at REAL,
    opened_at REAL,
    retry_at REAL,
    open_count INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    probe_owner TEXT,
    probe_lease_until REAL,
    cooldown_until REAL,
    cooldown_s REAL,
    hold_reason TEXT,
    hold_until REAL,
    hold_by TEXT,
    threshold INTEGER NOT NULL DEFAULT 5,
    changed_at REAL NOT NULL,
    last_ok_at REAL,
    last_failure_at REAL,
    last_error TEXT,
    PRIMARY KEY (provider, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE circuit_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    why TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT;

CREATE TABLE servers (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    client TEXT NOT NULL,
    client_version TEXT,
    project TEXT NOT NULL,
    version TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    keys_present TEXT NOT NULL DEFAULT '[]',
    log_path TEXT,
    started REAL NOT NULL,
    beat REAL NOT NULL,
    ended REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE control (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created REAL NOT NULL,
    by TEXT NOT NULL,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    argument TEXT NOT NULL DEFAULT '{}',
    taken_by TEXT,
    taken REAL,
    done REAL,
    result TEXT
) STRICT;

CREATE TABLE watchers (
    id TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""

V2 = """
ALTER TABLE circuits ADD COLUMN hold_key TEXT;

CREATE TABLE speeds (
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    first_ms REAL NOT NULL,
    token_ms REAL NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (provider, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    call_id TEXT NOT NULL,
    server TEXT NOT NULL,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE approvals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id TEXT NOT NULL,
    budget TEXT NOT NULL,
    client TEXT NOT NULL,
    project TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    amount_nano INTEGER NOT NULL CHECK (amount_nano >= 0),
    fingerprint TEXT NOT NULL,
    asked_at REAL NOT NULL,
    waits_until REAL NOT NULL,
    expires REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'approved', 'denied')),
    answered_at REAL,
    by TEXT,
    used_by TEXT,
    reservations TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX approvals_fingerprint ON approvals (fingerprint) WHERE fingerprint <> '';

CREATE TABLE client_calls (id INTEGER PRIMARY KEY, client TEXT NOT NULL, at REAL NOT NULL) STRICT;
CREATE INDEX client_calls_at ON client_calls (client, at);

CREATE TABLE alerts (key TEXT PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;

ALTER TABLE usage_hour ADD COLUMN presumed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_hour ADD COLUMN failed_nano INTEGER NOT NULL DEFAULT 0;

CREATE TABLE status_hour (
    hour INTEGER NOT NULL,
    status TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    task TEXT NOT NULL,
    client TEXT NOT NULL,
    project TEXT NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    presumed_nano INTEGER NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0,
    presumed INTEGER NOT NULL DEFAULT 0,
    failed_nano INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, status, provider, model, task, client, project)
) STRICT, WITHOUT ROWID;
INSERT INTO status_hour (hour, status, provider, model, task, client, project, calls, errors,
    attempts, input_tokens, output_tokens, cached_tokens, cost_nano, presumed_nano, unpriced,
    presumed)
SELECT CAST(ended / 3600 AS INTEGER), status, ifnull(provider, ''), ifnull(model, ''),
    ifnull(task, ''), client, project, count(*), sum(status IN ('failed', 'timeout', 'lost')),
    sum(attempts), ifnull(sum(input_tokens), 0), ifnull(sum(output_tokens), 0),
    ifnull(sum(cached_tokens), 0), ifnull(sum(cost_nano), 0),
    ifnull(sum(iif(cost_kind = 'presumed', cost_nano, 0)), 0),
    sum(cost_kind = 'unknown'), sum(cost_kind = 'presumed')
FROM calls GROUP BY 1, 2, 3, 4, 5, 6, 7;

CREATE TABLE model_hour (
    hour INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    presumed_nano INTEGER NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0,
    presumed INTEGER NOT NULL DEFAULT 0,
    failed_nano INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, provider, model)
) STRICT, WITHOUT ROWID;
INSERT INTO model_hour (hour, provider, model, calls, errors, attempts, input_tokens,
    output_tokens, cached_tokens, cost_nano, presumed_nano, unpriced)
SELECT hour, provider, model, sum(calls), sum(errors), sum(attempts), sum(input_tokens),
    sum(output_tokens), sum(cached_tokens), sum(cost_nano), sum(presumed_nano), sum(unpriced)
FROM usage_hour GROUP BY hour, provider, model;
"""

V3 = """
ALTER TABLE circuits ADD COLUMN hold_note TEXT;

CREATE TABLE engines (
    name TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    path TEXT NOT NULL,
    mark TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('starting', 'ready', 'stopping', 'stopped', 'failed')),
    detail TEXT NOT NULL DEFAULT '',
    keeper_pid INTEGER NOT NULL,
    keeper_since TEXT NOT NULL,
    pid INTEGER,
    since TEXT,
    port INTEGER,
    token TEXT NOT NULL DEFAULT '',
    log_path TEXT NOT NULL,
    idle_s REAL NOT NULL,
    started REAL NOT NULL,
    ready REAL,
    ended REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE engine_users (
    engine TEXT NOT NULL,
    owner TEXT NOT NULL,
    server TEXT NOT NULL,
    since REAL NOT NULL,
    PRIMARY KEY (engine, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE estimates (
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    measure TEXT NOT NULL,
    mean REAL NOT NULL,
    variance REAL NOT NULL,
    high REAL NOT NULL,
    samples INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (provider, model, measure)
) STRICT, WITHOUT ROWID;

ALTER TABLE calls ADD COLUMN client_version TEXT;

CREATE TABLE first_uses (
    project TEXT NOT NULL,
    provider TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    by TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (project, provider)
) STRICT, WITHOUT ROWID;

CREATE TABLE provider_reports (
    server TEXT NOT NULL,
    provider TEXT NOT NULL,
    at REAL NOT NULL,
    place INTEGER NOT NULL,
    configured INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    priority INTEGER,
    cost_multiplier TEXT NOT NULL,
    key_from TEXT NOT NULL,
    key_needed INTEGER NOT NULL,
    reason TEXT NOT NULL,
    models INTEGER,
    facts TEXT NOT NULL,
    PRIMARY KEY (server, provider)
) STRICT, WITHOUT ROWID;

CREATE TABLE provider_tests (
    provider TEXT PRIMARY KEY,
    at REAL NOT NULL,
    server TEXT NOT NULL,
    by TEXT NOT NULL,
    ok INTEGER NOT NULL,
    ms INTEGER,
    models INTEGER,
    said TEXT NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE servers ADD COLUMN config_file TEXT;
ALTER TABLE servers ADD COLUMN reaped_by TEXT;
ALTER TABLE servers ADD COLUMN calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN cost_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN presumed_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN last_call REAL;
UPDATE servers SET calls = s.calls, lost = s.lost, cost_nano = s.cost_nano,
    presumed_nano = s.presumed_nano, last_call = s.last_call
FROM (SELECT server, count(*) AS calls, sum(status = 'lost') AS lost,
        ifnull(sum(cost_nano), 0) AS cost_nano,
        ifnull(sum(iif(cost_kind = 'presumed', cost_nano, 0)), 0) AS presumed_nano,
        max(ended) AS last_call
    FROM calls GROUP BY server) AS s
WHERE s.server = servers.id;
"""

MIGRATIONS: tuple[str, ...] = (V1, V2, V3)
