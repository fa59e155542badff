//! The guide to writing a backend shows code that compiles: all of it is from the sample.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

const GUIDE: &str = include_str!("../../../docs/backends/adding.md");

const SAMPLE: [&str; 4] = [
    include_str!("shelf/backend.rs"),
    include_str!("shelf/client.rs"),
    include_str!("shelf/main.rs"),
    include_str!("shelf/suite.rs"),
];

#[test]
fn every_block_of_code_is_from_the_sample() {
    let mut parts = GUIDE.split("```");
    let mut blocks = 0;
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        let Some(code) = block.strip_prefix("rust\n") else {
            continue;
        };
        blocks += 1;
        assert!(
            SAMPLE.iter().any(|file| file.contains(code)),
            "this is not in crates/testkit/tests/shelf any more:\n{code}"
        );
    }
    assert!(blocks >= 7, "{blocks} blocks of code");
}
