-- What came and went, in numbers, and where the time of attempts went: as in the embedded store.

CREATE TABLE traffic (
    env       BIGINT NOT NULL,
    width     SMALLINT NOT NULL,
    bucket    BIGINT NOT NULL,
    accepted  BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    failed    BIGINT NOT NULL,
    latencies BYTEA NOT NULL,
    PRIMARY KEY (env, width, bucket)
);

ALTER TABLE attempt ADD COLUMN next_due BIGINT;
ALTER TABLE attempt ADD COLUMN trace BYTEA;

CREATE INDEX endpoint_failing ON endpoint (failing_since) WHERE failing_since IS NOT NULL;
