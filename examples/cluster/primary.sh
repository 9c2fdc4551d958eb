#!/usr/bin/env bash
# Run once, when the primary's folder is made: who may replicate, and that commits wait for the standby.
# That holds from the next start on, which follows this at once.
set -euo pipefail
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set=password="$POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE replicator WITH REPLICATION LOGIN PASSWORD :'password';
SELECT pg_create_physical_replication_slot('standby');
ALTER SYSTEM SET synchronous_standby_names = 'standby';
-- A standby that is away for long must not fill the primary's disk.
ALTER SYSTEM SET max_slot_wal_keep_size = '8GB';
SQL
echo 'host replication replicator all scram-sha-256' >> "$PGDATA/pg_hba.conf"
