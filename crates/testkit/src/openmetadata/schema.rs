//! Tables as a release of 2026 has them, with the columns that matter to a reader.

use super::Dialect;
use super::entities::Table;

pub(super) fn statements(dialect: Dialect) -> Vec<String> {
    let entities = Table::ALL.iter().map(|table| entity(dialect, table.name()));
    let others = match dialect {
        Dialect::Postgres => [
            "CREATE TABLE entity_extension (id varchar(36) NOT NULL, extension varchar(256) NOT NULL, \
             jsonschema varchar(256) NOT NULL, json jsonb NOT NULL, PRIMARY KEY (id, extension));\n",
            "CREATE TABLE audit_log_event (id bigint PRIMARY KEY, event_json text NOT NULL, \
             search_text text);\n",
            "CREATE TABLE tag_usage (source smallint NOT NULL, tagfqn varchar(256) NOT NULL);\n",
        ],
        Dialect::MySql => [
            "CREATE TABLE entity_extension (id varchar(36) NOT NULL, extension varchar(256) NOT NULL, \
             jsonSchema varchar(256) NOT NULL, json json NOT NULL, PRIMARY KEY (id, extension));\n",
            "CREATE TABLE audit_log_event (id bigint PRIMARY KEY, event_json longtext NOT NULL, \
             search_text text);\n",
            "CREATE TABLE tag_usage (source tinyint NOT NULL, tagFQN varchar(256) NOT NULL);\n",
        ],
    };
    entities.chain(others.map(str::to_owned)).collect()
}

fn entity(dialect: Dialect, name: &str) -> String {
    match dialect {
        Dialect::Postgres => format!(
            "CREATE TABLE {name} (id varchar(36) GENERATED ALWAYS AS (json ->> 'id') STORED NOT NULL, \
             name varchar(256) GENERATED ALWAYS AS (json ->> 'name') STORED NOT NULL, \
             json jsonb NOT NULL, \
             deleted boolean GENERATED ALWAYS AS ((json ->> 'deleted')::boolean) STORED, \
             namehash varchar(256) NOT NULL, PRIMARY KEY (id));\n"
        ),
        Dialect::MySql => format!(
            "CREATE TABLE {name} (id varchar(36) GENERATED ALWAYS AS \
             (json_unquote(json_extract(json, '$.id'))) STORED, \
             name varchar(256) GENERATED ALWAYS AS \
             (json_unquote(json_extract(json, '$.name'))) VIRTUAL, \
             json json NOT NULL, \
             deleted tinyint(1) GENERATED ALWAYS AS (json_extract(json, '$.deleted')) VIRTUAL, \
             nameHash varchar(256) NOT NULL, UNIQUE KEY (id)) ENGINE=InnoDB;\n"
        ),
    }
}
