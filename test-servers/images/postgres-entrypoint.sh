#!/bin/bash
# Runs the command, `postgres` with its arguments, as the user postgres on a database that anybody may use.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
data=${PGDATA:-/var/lib/postgresql/data}
export PATH=$bin:$PATH
as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }

mkdir -p "$data" /var/run/postgresql
chown -R postgres:postgres "$data" /var/run/postgresql
chmod 700 "$data"
if [[ ! -s $data/PG_VERSION ]]; then
    as_postgres initdb --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C --pgdata="$data" >/dev/null
    echo 'host all all all trust' >>"$data/pg_hba.conf"
fi
shift
exec setpriv --reuid postgres --regid postgres --clear-groups "$bin/postgres" -D "$data" -c listen_addresses='*' "$@"
