#!/bin/sh
# A cluster on this laptop, from nothing to a completed run: docs/kubernetes.md. Done again, it goes on
# where it stopped, and brings the cluster to the code of now.
#   CLUSTER   name of the kind cluster (default: analytics-flows)
set -eu
cd "$(dirname "$0")/../.."

CLUSTER=${CLUSTER:-analytics-flows}
NAMESPACE=analytics-flows
IMAGE=analytics-flows:0.1.0

for program in docker kind kubectl openssl; do
    command -v "$program" >/dev/null || { echo "$program is not on PATH: install it, then start again" >&2; exit 2; }
done

in_cluster() { kubectl --context "kind-$CLUSTER" --namespace "$NAMESPACE" "$@"; }
step() { printf '\n== %s\n' "$1"; }
# A secret is made once: PostgreSQL keeps the password of its first start.
secret() {
    name=$1
    shift
    in_cluster get secret "$name" >/dev/null 2>&1 || in_cluster create secret generic "$name" "$@"
}

step "cluster"
kind get clusters | grep -qx "$CLUSTER" || kind create cluster --name "$CLUSTER"

step "image"
docker buildx build --load --file deployments/Dockerfile --tag "$IMAGE" .
kind load docker-image "$IMAGE" --name "$CLUSTER"

step "secrets"
in_cluster get namespace "$NAMESPACE" >/dev/null 2>&1 || in_cluster create namespace "$NAMESPACE"
password=$(openssl rand -hex 16)
secret postgres --from-literal=password="$password"
password=$(in_cluster get secret postgres --output 'jsonpath={.data.password}' | base64 --decode)
secret prefect-database \
    --from-literal=connection-url="postgresql+asyncpg://prefect:$password@postgres:5432/prefect"
secret prefect-auth --from-literal=auth-string="admin:$(openssl rand -hex 16)"

step "server, databases, roles, blocks, deployments"
# The image's name is the same: pods that are there keep the one they began with.
running=$(in_cluster get deployments --output name)
[ -z "$running" ] || in_cluster rollout restart $running
# What a Job is cannot be changed, only made anew.
in_cluster delete job set-up --ignore-not-found
kubectl --context "kind-$CLUSTER" apply --kustomize deployments/kubernetes/overlays/kind
in_cluster rollout status statefulset/postgres --timeout=300s
in_cluster rollout status deployment/prefect-server --timeout=300s
in_cluster wait --for=condition=complete job/set-up --timeout=600s
in_cluster rollout status deployment/analytics-flows-worker --timeout=300s
in_cluster rollout status deployment/analytics-flows-warm --timeout=300s
in_cluster rollout status deployment/analytics-flows-webhooks --timeout=300s

run() {
    in_cluster exec deployment/analytics-flows-worker -- \
        prefect deployment run "$1" --param 'settings={"sample_payloads": 500}' --watch --watch-timeout 900
}
step "a run of Scout on sample data, a fork of the warm process"
run scout/scout-on-demand
step "the same layers from nothing, in a pod of its own"
run scout/scout-full-refresh-weekly

step "done"
sign_in=$(in_cluster get secret prefect-auth --output 'jsonpath={.data.auth-string}' | base64 --decode)
cat <<EOT
The runs are completed. To open the UI at http://localhost:4200 (sign in with $sign_in):
    kubectl --context kind-$CLUSTER --namespace $NAMESPACE port-forward service/prefect-server 4200:4200
To remove everything:
    kind delete cluster --name $CLUSTER
EOT
