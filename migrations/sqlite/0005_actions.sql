-- What a background task does. kind: 0 recover, 1 replay what is missing, 2 replay in bulk, 3 cancel,
-- 4 usage of applications, 5 event types that endpoints list, 6 a document. ask: what it was asked for, as
-- JSON. total: how many there are, where that was known when it began. stage, place: where it is, beside
-- done_to. From now on messages that were meant for one endpoint alone have 0 as their source.
ALTER TABLE background_task ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE background_task ADD COLUMN ask TEXT;
ALTER TABLE background_task ADD COLUMN total INTEGER;
ALTER TABLE background_task ADD COLUMN stage INTEGER NOT NULL DEFAULT 0;
ALTER TABLE background_task ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
CREATE INDEX background_task_endpoint ON background_task (endpoint, key);
CREATE INDEX background_task_document ON background_task (env, key) WHERE kind = 6;

-- What a task has found out, line by line. Goes with it.
CREATE TABLE task_result (
    task  INTEGER NOT NULL,
    name  TEXT NOT NULL,
    count INTEGER NOT NULL,
    body  TEXT,
    PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;
