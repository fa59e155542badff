# What verify-blobs needs to see that every secret is there: no value can be read, nothing changed.
# Another mount or prefix: replace both throughout. `vault policy write cloakroom-verify verify-only.hcl`

path "secret/metadata/cloakroom/*" {
  capabilities = ["read", "list"]
}

# A page of the listing with all descriptions in one request. OpenBao only; no harm on Vault.
path "secret/detailed-metadata/cloakroom/*" {
  capabilities = ["list"]
}

# What the policy `default` gives too, for tokens that have been made without it.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
