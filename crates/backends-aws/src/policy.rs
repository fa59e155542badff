//! A parameter's policies, of which Cloakroom uses one: its expiry.

use cloakroom_core::Timestamp;
use serde_json::{Value, json};

/// What takes all policies off a parameter.
pub(crate) const NONE: &str = "[{}]";

/// The policies of a parameter that AWS deletes at a moment.
pub(crate) fn expiring_at(moment: Timestamp) -> String {
    json!([{
        "Type": "Expiration",
        "Version": "1.0",
        "Attributes": { "Timestamp": format!("{moment:.3}") },
    }])
    .to_string()
}

/// When AWS deletes a parameter that has these policies.
pub(crate) fn expiry(policies: &[String]) -> Option<Timestamp> {
    policies.iter().find_map(|text| {
        let policy: Value = serde_json::from_str(text).ok()?;
        if policy.get("Type")?.as_str()? != "Expiration" {
            return None;
        }
        // One that cannot be read expires all the same: now, for all that is known.
        let moment = policy["Attributes"]["Timestamp"].as_str();
        Some(
            moment
                .and_then(|text| text.parse().ok())
                .unwrap_or(Timestamp::MIN),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_comes_back_to_the_millisecond() {
        let moment: Timestamp = "2026-11-21T10:00:00.123456789Z".parse().unwrap();
        let policies: Value = serde_json::from_str(&expiring_at(moment)).unwrap();
        let texts: Vec<_> = policies
            .as_array()
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect();
        assert_eq!(
            expiry(&texts).unwrap().to_string(),
            "2026-11-21T10:00:00.123Z"
        );
    }

    #[test]
    fn what_is_no_expiry_is_none_and_what_is_unreadable_is_near() {
        let other = r#"{"Type":"NoChangeNotification","Version":"1.0","Attributes":{}}"#;
        assert_eq!(expiry(&[other.to_owned(), "{}".to_owned()]), None);
        let unreadable = r#"{"Type":"Expiration","Attributes":{"Timestamp":"soon"}}"#;
        assert_eq!(expiry(&[unreadable.to_owned()]), Some(Timestamp::MIN));
    }
}
