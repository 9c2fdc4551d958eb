-- The embedded store. The hot path only appends: message, payload, pending and attempt grow at
-- their end, and everything that leads with an application, an endpoint or a hash is filled later
-- in sorted slices (message_by_app, attempt_by_message, attempt_by_endpoint, idempotency_entry).

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE environment (
    key        INTEGER PRIMARY KEY,
    nonce      BLOB NOT NULL,
    name       TEXT NOT NULL UNIQUE,
    settings   TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
    key        INTEGER PRIMARY KEY,
    nonce      BLOB NOT NULL,
    env        INTEGER NOT NULL,
    name       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- Access of customers to their own application. Ends with it.
CREATE TABLE portal_token (
    key           INTEGER PRIMARY KEY,
    nonce         BLOB NOT NULL,
    env           INTEGER NOT NULL,
    app           INTEGER NOT NULL,
    hash          BLOB NOT NULL UNIQUE,
    capabilities  TEXT NOT NULL,
    feature_flags TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX portal_token_app ON portal_token (app);
CREATE INDEX portal_token_expiry ON portal_token (expires_at);

-- kind: 0 a customer's, 1 the environment's own, whose endpoints take operational webhooks.
CREATE TABLE application (
    key        INTEGER PRIMARY KEY,
    nonce      BLOB NOT NULL,
    env        INTEGER NOT NULL,
    kind       INTEGER NOT NULL DEFAULT 0,
    uid        TEXT,
    version    INTEGER NOT NULL,
    spec       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX application_uid ON application (env, uid) WHERE uid IS NOT NULL;
CREATE INDEX application_env ON application (env, kind, key);

-- spec: without headers, and the password of the URL masked. secret: sealed JSON of the signing
-- secrets, the URL and the headers. failing_since: it has done nothing but fail since then.
CREATE TABLE endpoint (
    key        INTEGER PRIMARY KEY,
    nonce      BLOB NOT NULL,
    app        INTEGER NOT NULL,
    uid        TEXT,
    url_id     INTEGER NOT NULL,
    spec       TEXT NOT NULL,
    secret     BLOB NOT NULL,
    failing_since  INTEGER,
    failing_warned INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX endpoint_uid ON endpoint (app, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoint_app ON endpoint (app, key);

-- Where attempts went, even after the endpoint was changed or deleted. Passwords are masked.
CREATE TABLE endpoint_url (
    id    INTEGER PRIMARY KEY,
    nonce BLOB NOT NULL,
    url   TEXT NOT NULL
) STRICT;

CREATE TABLE event_type (
    env        INTEGER NOT NULL,
    name       TEXT NOT NULL,
    spec       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (env, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    key          INTEGER PRIMARY KEY,
    nonce        BLOB NOT NULL,
    app          INTEGER NOT NULL,
    event_type   TEXT NOT NULL,
    payload      INTEGER NOT NULL,
    content_type TEXT,
    channels     TEXT,
    tags         TEXT,
    event_id     TEXT,
    deliver_at   INTEGER,
    idempotency  BLOB
) STRICT;

-- Its id begins with the day on which it expires: retention removes ranges.
CREATE TABLE payload (
    id   INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- Deliveries without an outcome; read once, at start.
CREATE TABLE pending (
    message  INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    PRIMARY KEY (message, endpoint)
) STRICT, WITHOUT ROWID;

-- Deliveries that have a due time: retries, resends, delayed messages, and what lanes have no room for.
CREATE TABLE waiting (
    endpoint INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    message  INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    manual   INTEGER NOT NULL,
    PRIMARY KEY (endpoint, due, message)
) STRICT, WITHOUT ROWID;

-- Deliveries that are set aside: 0 failed, 1 held, 2 quarantined, 3 cancelled.
CREATE TABLE parked (
    endpoint INTEGER NOT NULL,
    message  INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (endpoint, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    key         INTEGER PRIMARY KEY,
    nonce       BLOB NOT NULL,
    message     INTEGER NOT NULL,
    endpoint    INTEGER NOT NULL,
    url         INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    manual      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    next_due    INTEGER,
    response    BLOB
) STRICT;

CREATE TABLE message_by_app (
    app     INTEGER NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (app, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_by_message (
    message INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (message, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_by_endpoint (
    endpoint INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    PRIMARY KEY (endpoint, attempt)
) STRICT, WITHOUT ROWID;

-- Keys and event ids that are no longer in memory: one run after the other, each sorted.
CREATE TABLE idempotency_entry (
    run     INTEGER NOT NULL,
    hash    INTEGER NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (run, hash, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_run (
    run        INTEGER PRIMARY KEY,
    kind       INTEGER NOT NULL,
    up_to      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    filter     BLOB NOT NULL
) STRICT;

-- Answers to changes of configuration, by idempotency key, sealed. Seldom written.
CREATE TABLE remembered_change (
    -- The beginning of the hash: what the body is sealed to.
    row         INTEGER PRIMARY KEY,
    hash        BLOB NOT NULL UNIQUE,
    fingerprint BLOB NOT NULL,
    status      INTEGER NOT NULL,
    body        BLOB NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX remembered_change_expiry ON remembered_change (expires_at);

-- Attempts by endpoint and hour (of their keys), counted with the entries of attempt_by_endpoint.
-- By hour first: all that is counted now is on a few pages, whatever the number of endpoints.
CREATE TABLE endpoint_hour (
    hour     INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    success  INTEGER NOT NULL,
    failure  INTEGER NOT NULL,
    PRIMARY KEY (hour, endpoint)
) STRICT, WITHOUT ROWID;

-- What was deleted and still has rows. kind: 0 application, 1 endpoint. url: of an endpoint, the
-- last that attempts went to. Gone for good only some time after the deletion, when all attempts
-- that were in flight are on record.
CREATE TABLE purge (
    target     INTEGER PRIMARY KEY,
    kind       INTEGER NOT NULL,
    url        INTEGER,
    deleted_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX purge_next ON purge (next_at);

-- Work that was asked for and goes on in slices. status: 0 running, 1 finished, 2 failed.
CREATE TABLE background_task (
    key        INTEGER PRIMARY KEY,
    nonce      BLOB NOT NULL,
    env        INTEGER NOT NULL,
    app        INTEGER NOT NULL,
    endpoint   INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    -- Messages before this key; those up to done_to are done.
    before     INTEGER NOT NULL,
    done_to    INTEGER NOT NULL,
    moved      INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX background_task_env ON background_task (env, key);
CREATE INDEX background_task_running ON background_task (updated_at, key) WHERE status = 0;
CREATE INDEX background_task_running_of ON background_task (env, app) WHERE status = 0;
CREATE INDEX background_task_ended ON background_task (updated_at) WHERE status <> 0;
