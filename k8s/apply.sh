#!/bin/sh
# Brings a cluster to what an overlay describes: k8s/apply.sh OVERLAY, such as k8s/overlays/production.
# The order matters when a version changes: tables, then services, which answer the old gateway and the new one alike, then the gateway.
set -eu
overlay=${1:?which overlay, such as k8s/overlays/production}
patience=${BARID_PATIENCE:-20m}
rendered=$(mktemp)
trap 'rm -f "$rendered"' EXIT
kubectl kustomize "$overlay" > "$rendered"

stage() {
    kubectl apply --filename "$rendered" --selector "$1"
}

wait_for() {
    for deployment in $(kubectl --namespace barid get deployments --selector "barid.dev/stage=$1" --output name); do
        kubectl --namespace barid rollout status "$deployment" --timeout "$patience"
    done
}

stage 'barid.dev/stage notin (migration, services, gateway)'
# A job does not change: the last release's makes room for this one's.
kubectl --namespace barid delete job migrate --ignore-not-found --wait
stage barid.dev/stage=migration
kubectl --namespace barid wait job/migrate --for condition=complete --timeout "$patience"
stage barid.dev/stage=services
wait_for services
stage barid.dev/stage=gateway
wait_for gateway
