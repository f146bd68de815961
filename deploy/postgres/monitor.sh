#!/bin/sh
# A role for postgres-exporter, which may see figures and no row.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --set password="$MONITOR_PASSWORD" <<'SQL'
CREATE ROLE barid_monitor LOGIN PASSWORD :'password' CONNECTION LIMIT 5;
GRANT pg_monitor TO barid_monitor;
SQL
