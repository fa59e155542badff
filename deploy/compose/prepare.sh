#!/bin/sh
# Makes what docker-compose.yml hands out: a key file, a password, a token, and the user that may read
# them. What is there already stays.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

random() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }
word() { random 24 | tr '+/' '-_'; }

[ -e keys ] || { random 32 && echo; } >keys
[ -e postgres-password ] || word >postgres-password
[ -e openbao-token ] || word >openbao-token
[ -e operator-token ] || word >operator-token
printf 'postgres://cloakroom:%s@postgres/cloakroom' "$(cat postgres-password)" >postgres-url

# The containers run as whoever made these files, but never as root.
user=$(id -u):$(id -g)
if [ "$(id -u)" -eq 0 ]; then
  user=65532:65532
  chown "$user" keys openbao-token operator-token postgres-url
fi
# No name that begins with CLOAKROOM_: the program takes those for settings.
echo "export CONTAINER_USER=$user" >user
echo "made in $PWD; next: . deploy/compose/secrets/user && docker compose up --build"
