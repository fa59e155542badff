#!/bin/sh
# Makes the custom roles and binds them to a service account, for secrets of one prefix only. Run it again
# after a change: what is there is brought up to date.
#
#   PROJECT=my-project ACCOUNT=cloakroom@my-project.iam.gserviceaccount.com PREFIX=cloakroom- \
#     sh binding.sh read-write
#
# Of regional secrets tell LOCATION too, as in the configuration.
#
# A condition on the name cannot cover secretmanager.secrets.create and .list, which are asked of the project:
# the second binding gives these alone. Listing shows names and metadata of every secret, never a value; a
# secret that was created under another name can neither be read nor given a value.
set -eu
: "${PROJECT:?}" "${ACCOUNT:?}" "${PREFIX:?}"
strength=${1:?read-write or verify-only}
case $strength in
read-write)
  role=cloakroomreadwrite
  of_project=cloakroomcreate
  title='Cloakroom, create and list'
  permissions=secretmanager.secrets.create,secretmanager.secrets.list
  ;;
verify-only)
  role=cloakroomverifyonly
  of_project=cloakroomlist
  title='Cloakroom, list'
  permissions=secretmanager.secrets.list
  ;;
*)
  echo 'read-write or verify-only?' >&2
  exit 1
  ;;
esac
folder=$(dirname "$0")
number=$(gcloud projects describe "$PROJECT" --format='value(projectNumber)')
name="projects/$number${LOCATION:+/locations/$LOCATION}/secrets/$PREFIX"

define() {
  id=$1
  shift
  if gcloud iam roles describe "$id" --project="$PROJECT" >/dev/null 2>&1; then
    gcloud iam roles update "$id" --project="$PROJECT" --quiet "$@"
  else
    gcloud iam roles create "$id" --project="$PROJECT" --quiet "$@"
  fi
}

bind() {
  gcloud projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$ACCOUNT" \
    --role="projects/$PROJECT/roles/$1" --condition="$2"
}

define "$role" --file="$folder/$strength.yaml"
define "$of_project" --title="$title" --stage=GA --permissions="$permissions"
bind "$role" "title=cloakroom-prefix,expression=resource.name.startsWith(\"$name\")"
bind "$of_project" None
