#!/bin/sh
# Makes the custom role and binds it to a service account, for secrets of one prefix only.
#
#   PROJECT=my-project ACCOUNT=cloakroom@my-project.iam.gserviceaccount.com PREFIX=cloakroom- \
#     sh binding.sh read-write
#
# A condition on the name cannot cover secretmanager.secrets.list, which is asked of the project: the
# second binding gives that alone, and shows names and metadata of every secret, never a value.
set -eu
: "${PROJECT:?}" "${ACCOUNT:?}" "${PREFIX:?}"
strength=${1:?read-write or verify-only}
folder=$(dirname "$0")
number=$(gcloud projects describe "$PROJECT" --format='value(projectNumber)')
role=cloakroom$(echo "$strength" | tr -d '-')

gcloud iam roles create "$role" --project="$PROJECT" --file="$folder/$strength.yaml"
gcloud iam roles create cloakroomlist --project="$PROJECT" \
  --title='Cloakroom, list' --stage=GA --permissions=secretmanager.secrets.list
gcloud projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$ACCOUNT" \
  --role="projects/$PROJECT/roles/$role" \
  --condition="title=cloakroom-prefix,expression=resource.name.startsWith(\"projects/$number/secrets/$PREFIX\")"
gcloud projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$ACCOUNT" \
  --role="projects/$PROJECT/roles/cloakroomlist" --condition=None
