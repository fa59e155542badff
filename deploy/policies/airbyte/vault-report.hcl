# What `reconciler report` needs: it lists and describes what Airbyte wrote, and can read no value and change
# nothing. MOUNT is the first part of what Airbyte's configuration calls the prefix, PREFIX the rest, which stands
# directly in front of each name. `vault policy write cloakroom-report vault-report.hcl`

path "MOUNT/metadata/PREFIX*" {
  capabilities = ["read", "list"]
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
