# Everything Cloakroom does in the KV version 2 mount `secret` under the prefix `cloakroom/`.
# Another mount or prefix: replace both throughout. `vault policy write cloakroom read-write.hcl`

# Values, each written once (with `cas=0`) and read. Since its mark is written before it, the server
# takes the first write for an `update`.
path "secret/data/cloakroom/*" {
  capabilities = ["create", "update", "read"]
}

# Marks, descriptions and the listing; `delete` removes a secret for good.
path "secret/metadata/cloakroom/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# A page of the listing with all descriptions in one request. OpenBao only; no harm on Vault.
path "secret/detailed-metadata/cloakroom/*" {
  capabilities = ["list"]
}

# Deletions that can be taken back, and taking them back.
path "secret/delete/cloakroom/*" {
  capabilities = ["update"]
}
path "secret/undelete/cloakroom/*" {
  capabilities = ["update"]
}

# What the policy `default` gives too, for tokens that have been made without it.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
