#!/usr/bin/env bash
# Copies the primary at the first start, and follows it. The primary knows it by its cluster_name.
# Failover by hand: stop the primary for good, then
#   docker compose exec standby pg_ctl promote
# It waits for no standby of its own: synchronous_standby_names is the primary's, and is emptied here.
set -euo pipefail
: "${PGDATA:=/var/lib/postgresql/data}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    pg_basebackup --pgdata="$PGDATA" --write-recovery-conf --wal-method=stream --slot=standby \
        --dbname="host=primary user=replicator password=$PGPASSWORD"
    chmod 0700 "$PGDATA"
fi
exec postgres -c cluster_name=standby -c synchronous_standby_names=
