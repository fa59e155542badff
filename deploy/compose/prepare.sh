#!/bin/sh
# Makes what docker-compose.yml hands out: a key file, a password, a token, and the user that may read
# them. What is there already stays, but for an empty file: what made it was broken off.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
cd secrets

random() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }
word() { random 24 | tr '+/' '-_'; }

# A file has its name once it is whole and not empty.
make() {
  [ ! -s "$1" ] || return 0
  name=$1
  shift
  "$@" >"$name.new"
  [ -s "$name.new" ] || { echo "$name came out empty" >&2; exit 1; }
  mv "$name.new" "$name"
}
line() { random 32 && echo; }

make keys line
make postgres-password word
make openbao-token word
make operator-token word
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
