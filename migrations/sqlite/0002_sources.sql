-- Where messages come in from outside.

-- secret: sealed JSON of the configuration, what a handshake brought, and the token.
-- last_tick: of sources of type cron, up to when ticks have been made; at first, and after a change of the
-- schedule, the time of that. NULL of all others.
CREATE TABLE source (
    key        INTEGER PRIMARY KEY,
    nonce      BLOB NOT NULL,
    env        INTEGER NOT NULL,
    app        INTEGER NOT NULL,
    owns_app   INTEGER NOT NULL,
    uid        TEXT,
    spec       TEXT NOT NULL,
    secret     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_tick  INTEGER
) STRICT;
CREATE UNIQUE INDEX source_uid ON source (env, uid) WHERE uid IS NOT NULL;
CREATE INDEX source_env ON source (env, key);
CREATE INDEX source_app ON source (app);
CREATE INDEX source_cron ON source (key) WHERE last_tick IS NOT NULL;

-- The tokens of receiving URLs, by a keyed hash. expires_at: of one that was replaced.
CREATE TABLE source_token (
    hash       BLOB PRIMARY KEY,
    source     INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX source_token_source ON source_token (source);

-- Requests that became no message of their own: refused ones, handshakes, duplicates. The newest of each
-- source, by count and bytes. cause: NULL of those that were not refused. message: the first of a duplicate.
CREATE TABLE source_log (
    key     INTEGER PRIMARY KEY,
    nonce   BLOB NOT NULL,
    source  INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    status  INTEGER NOT NULL,
    cause   TEXT,
    hint    TEXT,
    head    BLOB NOT NULL,
    body    BLOB NOT NULL,
    message INTEGER
) STRICT;
CREATE INDEX source_log_source ON source_log (source, key);

-- source: where it came in. dedupe: a keyed hash of what its source tells duplicates by.
ALTER TABLE message ADD COLUMN source INTEGER;
ALTER TABLE message ADD COLUMN dedupe BLOB;
-- Method, path, query and headers of what came in from outside, as JSON. They expire with the bytes.
ALTER TABLE payload ADD COLUMN head BLOB;
