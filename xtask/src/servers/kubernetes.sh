#!/bin/sh
# etcd and kube-apiserver as one process, to be started and stopped as one.
# Arguments: kube-apiserver, its port, etcd's port, the port etcd would find others at.
set -eu
umask 077

openssl genrsa -out accounts.key 2048 2>openssl.log
# Not a credential anywhere else: the server is on loopback and goes with its data.
echo 'admin,admin,admin,"system:masters"' >tokens.csv

# Whatever ends this script ends both.
tied='setpriv --pdeathsig KILL --'
$tied etcd --data-dir etcd --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$3" --advertise-client-urls "http://127.0.0.1:$3" \
    --listen-peer-urls "http://127.0.0.1:$4" &
etcd=$!
# Revisions are only compacted by tests; the address is advertised to nobody.
$tied "$1" --secure-port "$2" --bind-address 127.0.0.1 --cert-dir certificates \
    --etcd-servers "http://127.0.0.1:$3" --etcd-compaction-interval 0 \
    --authorization-mode RBAC --token-auth-file tokens.csv \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file accounts.key --service-account-signing-key-file accounts.key \
    --service-cluster-ip-range 10.0.0.0/24 \
    --advertise-address 10.255.255.1 --endpoint-reconciler-type none &
server=$!
trap 'kill "$server" "$etcd" 2>/dev/null || true; wait' TERM INT EXIT
wait "$server"
