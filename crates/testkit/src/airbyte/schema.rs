//! The tables, with Airbyte's names and types for the columns that matter here.

/// In the order of their foreign keys.
pub(super) const STATEMENTS: &[&str] = &[
    "CREATE TYPE actor_type AS ENUM ('source', 'destination');\n",
    "CREATE TYPE status_type AS ENUM ('active', 'inactive', 'deprecated');\n",
    "CREATE TYPE secret_reference_scope_type AS ENUM \
     ('actor', 'secret_storage', 'connection_template', 'actor_oauth_parameter');\n",
    "CREATE TABLE organization (id uuid PRIMARY KEY, name varchar(256) NOT NULL, \
     email varchar(256) NOT NULL, created_at timestamptz NOT NULL DEFAULT now());\n",
    "CREATE TABLE workspace (id uuid PRIMARY KEY, name varchar(256) NOT NULL, slug varchar(256), \
     email varchar(256), webhook_operation_configs jsonb, \
     organization_id uuid NOT NULL REFERENCES organization (id), \
     tombstone boolean NOT NULL DEFAULT false, updated_at timestamptz NOT NULL DEFAULT now());\n",
    "CREATE TABLE actor_definition (id uuid PRIMARY KEY, name varchar(256) NOT NULL, \
     actor_type actor_type NOT NULL, default_version_id uuid, \
     tombstone boolean NOT NULL DEFAULT false);\n",
    "CREATE TABLE actor_definition_version (id uuid PRIMARY KEY, \
     actor_definition_id uuid NOT NULL REFERENCES actor_definition (id), \
     docker_repository varchar(256) NOT NULL, docker_image_tag varchar(256) NOT NULL, \
     spec jsonb NOT NULL);\n",
    "CREATE TABLE actor (id uuid PRIMARY KEY, \
     workspace_id uuid NOT NULL REFERENCES workspace (id), \
     actor_definition_id uuid NOT NULL REFERENCES actor_definition (id), \
     name varchar(256) NOT NULL, configuration jsonb NOT NULL, actor_type actor_type NOT NULL, \
     tombstone boolean NOT NULL DEFAULT false, updated_at timestamptz NOT NULL DEFAULT now());\n",
    "CREATE TABLE actor_oauth_parameter (id uuid PRIMARY KEY, workspace_id uuid, \
     organization_id uuid, actor_definition_id uuid NOT NULL REFERENCES actor_definition (id), \
     configuration jsonb NOT NULL, actor_type actor_type NOT NULL);\n",
    "CREATE TABLE actor_catalog (id uuid PRIMARY KEY, catalog jsonb NOT NULL, \
     catalog_hash varchar(32) NOT NULL);\n",
    "CREATE TABLE connection (id uuid PRIMARY KEY, \
     source_id uuid NOT NULL REFERENCES actor (id), destination_id uuid NOT NULL, \
     name varchar(256) NOT NULL, catalog jsonb NOT NULL, status status_type, \
     updated_at timestamptz NOT NULL DEFAULT now());\n",
    "CREATE TABLE connector_builder_project (id uuid PRIMARY KEY, \
     workspace_id uuid NOT NULL REFERENCES workspace (id), name varchar(256) NOT NULL, \
     manifest_draft jsonb, testing_values jsonb, tombstone boolean NOT NULL DEFAULT false);\n",
    "CREATE TABLE secret_storage (id uuid PRIMARY KEY, scope_type varchar(64) NOT NULL, \
     scope_id uuid NOT NULL, descriptor varchar(256) NOT NULL, storage_type varchar(64) NOT NULL, \
     configured_from_environment boolean NOT NULL, tombstone boolean NOT NULL DEFAULT false);\n",
    "CREATE TABLE secret_config (id uuid PRIMARY KEY, \
     secret_storage_id uuid NOT NULL REFERENCES secret_storage (id), \
     descriptor varchar(256) NOT NULL, external_coordinate varchar(256) NOT NULL, \
     airbyte_managed boolean NOT NULL, tombstone boolean NOT NULL DEFAULT false, \
     created_at timestamptz NOT NULL DEFAULT now(), \
     UNIQUE (secret_storage_id, descriptor), UNIQUE (secret_storage_id, external_coordinate));\n",
    "CREATE TABLE secret_reference (id uuid PRIMARY KEY, \
     secret_config_id uuid NOT NULL REFERENCES secret_config (id), \
     scope_type secret_reference_scope_type NOT NULL, scope_id uuid NOT NULL, \
     hydration_path text, created_at timestamptz NOT NULL DEFAULT now());\n",
    "CREATE TABLE secret_persistence_config (id uuid PRIMARY KEY, scope_type varchar(64) NOT NULL, \
     scope_id uuid NOT NULL, secret_persistence_config_coordinate varchar(256), \
     secret_persistence_type varchar(64) NOT NULL);\n",
    "CREATE TABLE jobs (id bigint PRIMARY KEY, config_type varchar(64), scope varchar(255), \
     config jsonb, status varchar(64), created_at timestamptz NOT NULL DEFAULT now());\n",
];
