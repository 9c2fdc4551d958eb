-- Scopes of keys, sessions, what environments are for.

-- scopes: a sum of 1 full, 2 read, 4 publish, 8 operator. hint: the last characters of the key.
ALTER TABLE api_key ADD COLUMN scopes SMALLINT NOT NULL DEFAULT 1;
ALTER TABLE api_key ADD COLUMN hint TEXT;
ALTER TABLE api_key ADD COLUMN last_used_at BIGINT;
CREATE INDEX api_key_env ON api_key (env, key);

-- kind: 0 development, 1 production. updated_at: 0 where it is as it was made.
ALTER TABLE environment ADD COLUMN kind SMALLINT NOT NULL DEFAULT 1;
ALTER TABLE environment ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE portal_token ADD COLUMN session_id TEXT;
CREATE INDEX portal_token_session ON portal_token (app, session_id);

-- kind: 0 a session, 1 a token that can be exchanged for one, once. api_key: what a session stands in for;
-- NULL where the operator of the machine asked for it.
CREATE TABLE session (
    key        BIGINT PRIMARY KEY,
    nonce      BYTEA NOT NULL,
    kind       SMALLINT NOT NULL,
    env        BIGINT NOT NULL,
    api_key    BIGINT,
    hash       BYTEA NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL
);
CREATE INDEX session_expiry ON session (expires_at);
CREATE INDEX session_holder ON session (kind, api_key, key);
