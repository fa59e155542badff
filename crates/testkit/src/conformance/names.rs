//! Laws of names: every coordinate has one, and no two have the same.

use std::collections::HashSet;

use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::{Coordinate, ErrorKind};

use super::Subject;
use super::hand::{Hand, list_all, value_of};
use super::verdict::{Verdict, ensure_eq, ensure_kind};
use crate::randomness::SeededRandomness;

/// Coordinates that differ in nothing but what a manager's own names may not tell apart. None has
/// more than 100 bytes.
pub fn hard() -> Vec<Coordinate> {
    let bodies = [
        "a",
        "A",
        "aa",
        "aA",
        "Aa",
        "AA",
        "a-b",
        "a_b",
        "a--b",
        "a__b",
        "a-_b",
        "a_-b",
        "-a",
        "a-",
        "_a",
        "a_",
        "-",
        "_",
        "--",
        "__",
        "a_v1",
        "a_v1_v1",
        "a-v1",
        "a_v",
        "a_V1",
        "av1",
        "a_x2d_b",
        "a-2d-b",
        "a_5f_b",
        "a-5f-b",
        "0",
        "00",
        "01",
        "a_secret_b",
        "secret",
        "workspace_",
        "workspace_00000000-0000-0000-0000-000000000000_secret_00000000-0000-0000-0000-000000000000",
        "workspace_00000000-0000-0000-0000-000000000000_SECRET_00000000-0000-0000-0000-000000000000",
        "workspace_aaaaaaaa-0000-0000-0000-000000000000_secret_00000000-0000-0000-0000-000000000000",
        "workspace_AAAAAAAA-0000-0000-0000-000000000000_secret_00000000-0000-0000-0000-000000000000",
        "workspace-aaaaaaaa-0000-0000-0000-000000000000-secret-00000000-0000-0000-0000-000000000000",
    ];
    let versions = ["v1", "v2", "v10", "v11"];
    let texts = bodies
        .iter()
        .enumerate()
        .flat_map(|(at, body)| {
            // Every version of the first few; the others need only be told from each other.
            let count = if at < 4 { versions.len() } else { 1 };
            versions[..count]
                .iter()
                .map(move |version| format!("x_{body}_{version}"))
        })
        .collect::<HashSet<_>>();
    let mut coordinates: Vec<Coordinate> = texts
        .iter()
        .filter_map(|text| Coordinate::from_stored(text).ok())
        .collect();
    coordinates.sort();
    coordinates
}

/// Short coordinates over the letters that managers' names are hard on, always the same ones.
fn generated() -> Vec<Coordinate> {
    let random = SeededRandomness::new(4);
    let letters: Vec<char> = "aAbB01vV-_".chars().collect();
    let body = || {
        let length = 1 + random.below(6);
        let drawn = (0..length).filter_map(|_| random.choose(&letters));
        drawn.collect::<String>()
    };
    (0..60)
        .filter_map(|_| Coordinate::from_stored(&format!("x_{}_v1", body())).ok())
        .collect()
}

/// A coordinate of so many bytes.
fn of_length(bytes: usize, filling: char) -> Option<Coordinate> {
    let around = "x__v1".len();
    let filling = filling.to_string().repeat(bytes.checked_sub(around)?);
    Coordinate::from_stored(&format!("x_{filling}_v1")).ok()
}

/// Each coordinate is a secret of its own and is listed under its very own text.
pub async fn no_two_coordinates_share_a_name(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let longest = backend.capabilities().longest_name;
    let mut coordinates = hard();
    coordinates.extend(generated());
    coordinates.retain(|coordinate| coordinate.as_str().len() <= longest);
    for (bytes, filling) in [
        (longest, 'a'),
        (longest, 'A'),
        (longest, '-'),
        (longest - 1, 'a'),
    ] {
        coordinates.extend(of_length(bytes.min(MAX_LENGTH), filling));
    }
    coordinates.sort();
    coordinates.dedup();
    for coordinate in &coordinates {
        hand.create(&*backend, coordinate, &value_of(coordinate))
            .await?;
    }
    for coordinate in &coordinates {
        hand.ensure_there(&*backend, coordinate, &value_of(coordinate))
            .await?;
    }
    subject.settle().await;
    let mut listed: Vec<Coordinate> = list_all(&*backend)
        .await?
        .into_iter()
        .map(|secret| secret.coordinate)
        .collect();
    listed.sort();
    ensure_eq(&listed, &coordinates, "the coordinates listed")
}

/// A coordinate longer than the manager takes is refused, never cut.
pub async fn a_name_too_long_is_refused(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let longest = backend.capabilities().longest_name;
    if let Some(coordinate) = of_length(longest + 1, 'a') {
        let answer = backend
            .put(&hand.request(&coordinate, &value_of(&coordinate)))
            .await;
        let refused = &[ErrorKind::TooLarge, ErrorKind::Invalid];
        ensure_kind(answer, refused, "a name longer than the longest")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_ones_differ_and_are_many() {
        let coordinates = hard();
        assert!(coordinates.len() > 45, "{}", coordinates.len());
        assert!(
            coordinates
                .iter()
                .all(|coordinate| coordinate.as_str().len() <= 100)
        );
        let folded: HashSet<String> = coordinates
            .iter()
            .map(|it| it.as_str().to_lowercase().replace('-', "_"))
            .collect();
        assert!(folded.len() + 10 < coordinates.len(), "they are not hard");
    }

    #[test]
    fn the_generated_ones_are_many_and_the_same_each_time() {
        assert!(generated().len() > 50, "{}", generated().len());
        assert_eq!(generated(), generated());
    }

    #[test]
    fn lengths_are_met() {
        for bytes in [6, 63, 127, MAX_LENGTH] {
            assert_eq!(of_length(bytes, 'a').unwrap().as_str().len(), bytes);
        }
        assert!(of_length(MAX_LENGTH + 1, 'a').is_none());
    }
}
