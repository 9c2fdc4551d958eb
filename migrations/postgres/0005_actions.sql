-- What a background task does. kind: 0 recover, 1 replay what is missing, 2 replay in bulk, 3 cancel,
-- 4 usage of applications, 5 event types that endpoints list, 6 a document. ask: what it was asked for, as
-- JSON. total: how many there are, where that was known when it began. stage, place: where it is, beside
-- done_to. From now on messages that were meant for one endpoint alone have 0 as their source.
ALTER TABLE background_task
    ADD COLUMN kind  SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN ask   TEXT,
    ADD COLUMN total BIGINT,
    ADD COLUMN stage SMALLINT NOT NULL DEFAULT 0,
    ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
CREATE INDEX background_task_endpoint ON background_task (endpoint, key);
CREATE INDEX background_task_document ON background_task (env, key) WHERE kind = 6;

-- What a task has found out, line by line. Goes with it.
CREATE TABLE task_result (
    task  BIGINT NOT NULL,
    name  TEXT COLLATE "C" NOT NULL,
    count BIGINT NOT NULL,
    body  TEXT,
    PRIMARY KEY (task, name)
);
