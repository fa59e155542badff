# What `reconciler clean` needs besides vault-report.hcl, whose paths are here too: it deletes what Airbyte wrote so
# that it can be brought back, brings back, takes an expiry (`delete_version_after`) off what is in use or brought
# back, and deletes for good what waited out the backup horizon. It can read no value. MOUNT and PREFIX are those of
# vault-report.hcl. `vault policy write cloakroom-clean vault-clean.hcl`

path "MOUNT/metadata/PREFIX*" {
  capabilities = ["read", "list"]
}
path "MOUNT/metadata/PREFIXairbyte_*" {
  capabilities = ["read", "update", "list", "delete"]
}
path "MOUNT/delete/PREFIXairbyte_*" {
  capabilities = ["update"]
}
path "MOUNT/undelete/PREFIXairbyte_*" {
  capabilities = ["update"]
}

# The folder that the prefix is in is listed. The mount itself where the prefix has no slash.
path "MOUNT/metadata/" {
  capabilities = ["list"]
}

# A page of the listing with all descriptions in one request. OpenBao only; no harm on Vault.
path "MOUNT/detailed-metadata/PREFIX*" {
  capabilities = ["list"]
}
path "MOUNT/detailed-metadata/" {
  capabilities = ["list"]
}

# What the policy `default` gives too, for tokens that have been made without it.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
