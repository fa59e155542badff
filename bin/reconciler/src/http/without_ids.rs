//! Texts for whoever can reach the address, who need not know which documents, workspaces and
//! secrets there are.

/// A text without the ids in it.
pub(super) fn without_ids(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let id = LENGTHS
            .into_iter()
            .find_map(|length| rest.get(..length).filter(|start| is_id(start)));
        if id.is_some() {
            told.push('…');
        } else {
            told.push(next);
        }
        rest = &rest[id.map_or(next.len_utf8(), str::len)..];
    }
    told
}

/// The lengths of a UUID with its hyphens and without.
const LENGTHS: [usize; 2] = [36, 32];

fn is_id(text: &str) -> bool {
    let hyphens = text.len() == LENGTHS[0];
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 if hyphens => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_without_ids() {
        let id = "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11";
        let text = format!("30 of 40 in workspace {id} would go, é airbyte_workspace_{id}_v1");
        assert_eq!(
            without_ids(&text),
            "30 of 40 in workspace … would go, é airbyte_workspace_…_v1"
        );
        assert_eq!(
            without_ids("put secret cloakroom_epoch_3e38422a8d3b4e559d6f0f2c5b1a7c11_v1: denied"),
            "put secret cloakroom_epoch_…_v1: denied"
        );
        for kept in ["", "6a1d7e9c-8d3b", "ééééééééééééééééééééé", "no id"] {
            assert_eq!(without_ids(kept), kept);
        }
    }
}
