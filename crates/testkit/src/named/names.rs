//! The names that platforms give, and names that nobody can give.

/// Every shape that is met in the wild, one or two of each; no two differ in case or in `-` and `_`
/// alone.
pub const SHAPES: &[&str] = &[
    "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363_secret_5675437d-ea6b-4f9a-9a0c-d76066004841_v1",
    "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363_secret_5675437d-ea6b-4f9a-9a0c-d76066004841_v2",
    "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363_secret_5675437d-ea6b-4f9a-9a0c-d76066004841_v12",
    // Of a check or discover.
    "airbyte_workspace_00000000-0000-0000-0000-000000000000_secret_0b1c2d3e-4f50-4a61-8b72-9c83ad94be05_v1",
    "airbyte_organization_11111111-2222-4333-8444-555555555555_secret_66666666-7777-4888-9999-aaaaaaaaaaaa_v1",
    "airbyte_oauth_workspace_11111111-2222-4333-8444-555555555555_secret_66666666-7777-4888-9999-aaaaaaaaaaab_v3",
    "airbyte_rsm_ORGANIZATION_11111111-2222-4333-8444-555555555555_secret_66666666-7777-4888-9999-aaaaaaaaaaac_v1",
    "airbyte_storage_organization11111111-2222-4333-8444-555555555555_secret_66666666-7777-4888-9999-aaaaaaaaaaad_v1",
    // As older releases wrote on AWS.
    "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363_secret_7675437d-ea6b-4f9a-9a0c-d76066004842",
    "airbyte_oldSecretFullCoordinate_v2",
    // What Airbyte takes for its own and no version is read from.
    "airbyte_v1",
    "airbyte_naught_v0",
    "airbyte_negative_v-3",
    "airbyte_padded_v007",
    // A user's own.
    "warehouse-password",
    "0",
    // OpenMetadata's.
    "/openmetadata/prod/database/mysql-test/authtype/password",
    "/openmetadata/prod/database/mysql-test/authtype/token",
    "openmetadataprod-database-mysql-test",
    "openmetadata/prod/bot/ingestion-bot",
];

/// Names that are told from each other by little. A law asks for those that the listing gives back.
pub const HARD: &[&str] = &[
    "airbyte_a-b_v1",
    "airbyte_a_b_v1",
    "airbyte_A_b_v1",
    "airbyte_a_B_v1",
    "airbyte_ab_v1",
    "airbyte_a__b_v1",
    "airbyte_ab_v10",
    "airbyte_ab_v1_v1",
    "airbyte_ab",
    "airbyte_workspace_aaaaaaaa-0000-4000-8000-000000000000_secret_bbbbbbbb-0000-4000-8000-000000000000_v1",
    "airbyte_workspace_aaaaaaaa-0000-4000-8000-000000000000_secret_bbbbbbbb-0000-4000-8000-000000000000_v11",
    "airbyte_workspace_aaaaaaaa-0000-4000-8000-000000000000_secret_bbbbbbbb-0000-4000-8000-000000000001_v1",
];

/// Names that no manager here gives to a secret.
pub const FORBIDDEN: &[&str] = &[
    "",
    " ",
    "airbyte_a b_v1",
    "airbyte_ä_v1",
    "airbyte_a\nb_v1",
    "airbyte_a#b_v1",
    "airbyte_a?b_v1",
    "airbyte_a%2Fb_v1",
    "arn:aws:secretsmanager:eu-central-1:123456789012:secret:airbyte_a_v1-AbCdEf",
];
