#!/bin/sh
# Prints the Secrets that the manifests refer to, with new random values: k8s/secrets.sh > secrets.yaml.
# Give the result to your store of secrets, or to `kubectl apply`, once: the master key of a database must never change.
# BARID is the program that makes the master key and the users of NATS; --dev is for the overlay `dev`: one
# password for all roles of the database, which `barid migrate` sets there, and a Meta app that the simulator plays.
set -eu
barid=${BARID:-barid}
services='gateway tenant template queue session-pool analytics webhook'
dev=
[ "${1:-}" = --dev ] && dev=yes

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# secret NAME TYPE KEY VALUE [KEY VALUE ...]
secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: barid\n' "$1"
    # CloudNativePG looks again when such a Secret changes.
    [ "$2" = kubernetes.io/basic-auth ] && printf '  labels:\n    cnpg.io/reload: "true"\n'
    printf 'type: %s\nstringData:\n' "$2"
    shift 2
    while [ $# -gt 0 ]; do
        printf '  %s: |-\n' "$1"
        printf '%s\n' "$2" | sed 's/^/    /'
        shift 2
    done
}

for service in $services operator; do
    password=$(random)
    secret "barid-nats-$service" Opaque password "$password"
    section=$(echo "$service" | tr a-z- A-Z_)
    export "BARID_${section}__NATS__URL=nats://barid-nats:4222" "BARID_${section}__NATS__PASSWORD=$password"
done
secret barid-nats-auth Opaque auth.conf "$("$barid" nats-config)"

roles=$(random)
for service in $services; do
    [ "$service" = gateway ] && continue
    for kind in tenant engine; do
        [ -n "$dev" ] || roles=$(random)
        secret "barid-db-$service-$kind" kubernetes.io/basic-auth username "barid_$(echo "$service" | tr - _)_$kind" password "$roles"
    done
done
if [ -n "$dev" ]; then
    secret barid-db-roles Opaque password "$roles"
    secret barid-meta-app Opaque app-secret "$(random)" verify-token "$(random)"
fi
secret barid-db-owner kubernetes.io/basic-auth username barid password "$(random)"
secret barid-redis Opaque password "$(random)"
secret barid-platform-key Opaque key "$(random)"
secret barid-master-key Opaque master.key "$("$barid" vault new-key)"
