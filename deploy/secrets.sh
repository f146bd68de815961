#!/bin/sh
# Makes deploy/secrets/, which compose.yaml refers to: new random passwords, the users of NATS and the master key. Refuses to do so twice, for
# without its master key a database cannot be read. BARID is a program to ask, such as target/debug/barid; else the image does it.
set -eu
umask 077
case ${BARID:-} in
/* | '') ;;
*/*) BARID=$PWD/$BARID ;;
esac
cd "$(dirname "$0")"
image=${BARID_IMAGE:-ghcr.io/barid/barid:0.1.0}
[ ! -e secrets ] || { echo "deploy/secrets is there already: keep it" >&2; exit 1; }
made=$(mktemp -d ./.secrets.XXXXXX)
trap 'rm -rf "$made"' EXIT
services='gateway tenant template queue session-pool analytics webhook operator'

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

section() {
    echo "$1" | tr a-z- A-Z_
}

roles=$(random)
redis=$(random)
for service in $services; do
    echo "BARID_$(section "$service")__NATS__PASSWORD=$(random)" > "$made/$service.env"
done
for service in tenant template queue session-pool analytics webhook; do
    for kind in tenant engine; do
        role=barid_$(echo "$service" | tr - _)_$kind
        echo "BARID_$(section "$service")__DATABASE__$(section "$kind")_URL=postgres://$role:$roles@postgres:5432/barid?sslmode=disable"
    done >> "$made/$service.env"
done
owner=$(random)
echo "BARID_TENANT__PLATFORM_KEY=$(random)" >> "$made/tenant.env"
echo "BARID_GATEWAY__REDIS__URL=redis://:$redis@redis:6379" >> "$made/gateway.env"
echo "BARID_MIGRATE__DATABASE_URL=postgres://barid:$owner@postgres:5432/barid?sslmode=disable" > "$made/migrate.env"
echo "BARID_MIGRATE__ROLE_PASSWORD=$roles" >> "$made/migrate.env"
monitor=$(random)
echo "POSTGRES_PASSWORD=$owner" > "$made/postgres.env"
echo "MONITOR_PASSWORD=$monitor" >> "$made/postgres.env"
{
    echo "DATA_SOURCE_URI=postgres:5432/barid?sslmode=disable"
    echo "DATA_SOURCE_USER=barid_monitor"
    echo "DATA_SOURCE_PASS=$monitor"
} > "$made/postgres-exporter.env"
echo "requirepass $redis" > "$made/redis.conf"
{
    echo "REDIS_ADDR=redis://redis:6379"
    echo "REDIS_PASSWORD=$redis"
} > "$made/redis-exporter.env"
echo "GF_SECURITY_ADMIN_PASSWORD=$(random)" > "$made/grafana.env"

ask() {
    if [ -n "${BARID:-}" ]; then
        # The variables hold nothing that a shell would read otherwise.
        (set -a; for file in "$made"/*.env; do . "$file"; done; "$BARID" --config barid.toml "$@")
    else
        files=$(for service in $services; do printf -- '--env-file %s ' "$made/$service.env"; done)
        # shellcheck disable=SC2086
        docker run --rm $files --volume "$PWD/barid.toml:/etc/barid.toml:ro" "$image" --config /etc/barid.toml "$@"
    fi
}
ask nats-config > "$made/nats.conf"
ask vault new-key > "$made/master.key"
# They are read in containers by users of their own; the folder is for its owner only.
chmod 444 "$made/nats.conf" "$made/master.key" "$made/redis.conf"
mv "$made" secrets
trap - EXIT
echo "deploy/secrets is made. Keep a copy of secrets/master.key where the backups of the database are not."
