-- What came and went, in numbers, and where the time of attempts went.

-- By environment and time: messages accepted, attempts that succeeded and failed, and how long these took, in
-- steps. width: seconds of a bucket, 60 or 3600; bucket: its number since 1970. What came up to the key that
-- stands in meta as traffic is counted here, once; what came before this table is not.
CREATE TABLE traffic (
    env       INTEGER NOT NULL,
    width     INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    accepted  INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    latencies BLOB NOT NULL,
    PRIMARY KEY (env, width, bucket)
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) SELECT 'traffic', max(key) FROM
    (SELECT max(key) AS key FROM message UNION ALL SELECT max(key) FROM attempt) HAVING max(key) IS NOT NULL;

-- Timings, and of a failure the headers of the answer. NULL where nothing is known.
ALTER TABLE attempt ADD COLUMN trace BLOB;

-- Those that do nothing but fail are few, whatever the number of endpoints.
CREATE INDEX endpoint_failing ON endpoint (failing_since) WHERE failing_since IS NOT NULL;
