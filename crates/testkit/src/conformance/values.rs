//! Laws of values: every size and byte that was promised, exactly.

use cloakroom_core::{Coordinate, ErrorKind, SecretValue};

use super::Subject;
use super::hand::Hand;
use super::verdict::{Verdict, ensure_kind};
use crate::canary::{MARKER, marked_bytes};

const MISSING: &[ErrorKind] = &[ErrorKind::Missing];

/// Values that text protocols like to change.
const HARD: &[&str] = &[
    "'single', \"double\", `back` and \\ slashes \\n \\u0000",
    "\n\r\n\ttabs, a trailing newline\n",
    " spaces around ",
    "nul \0 in the middle, and \0",
    "emoji 🧥🎟️, combining e\u{301}, composed \u{e9}, \u{feff}BOM, right-to-left \u{202e}",
    "{\"json\": [1, 2.50, null]}",
    "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
    "%20 &amp; ${HOME} $(id) {{template}} <xml/> ?a=b&c",
    "bm90IGJpbmFyeQ==",
    "file:///etc/passwd",
    "0",
    "null",
    "\u{1}\u{1f}\u{7f}\u{80}\u{10ffff}",
];

/// Text is kept exactly, whatever it looks like.
pub async fn text_is_kept_exactly(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let mut put: Vec<(Coordinate, SecretValue)> = Vec::new();
    for text in HARD {
        let (coordinate, value) = (hand.coordinate(), SecretValue::from((*text).to_owned()));
        hand.create(&*backend, &coordinate, &value).await?;
        put.push((coordinate, value));
    }
    for (coordinate, value) in &put {
        hand.ensure_there(&*backend, coordinate, value).await?;
    }
    Ok(())
}

/// Bytes that are no text are kept exactly where that is promised, and refused where it is not.
pub async fn bytes_are_kept_or_refused(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let every_byte: Vec<u8> = (0..=255).collect();
    for value in [
        marked_bytes(&every_byte),
        marked_bytes(&[b'a', 0xed, 0xa0, 0x80]),
        // Nothing of these is text.
        SecretValue::new(vec![0xff]),
        SecretValue::new(vec![0xc3, 0x28]),
    ] {
        let coordinate = hand.coordinate();
        if backend.capabilities().binary {
            hand.create(&*backend, &coordinate, &value).await?;
            hand.ensure_there(&*backend, &coordinate, &value).await?;
        } else {
            let refused = &[ErrorKind::Invalid, ErrorKind::Unsupported];
            let answer = backend.put(&hand.request(&coordinate, &value)).await;
            ensure_kind(answer, refused, "bytes that are no text")?;
            ensure_kind(
                backend.get(&coordinate).await,
                MISSING,
                "get what was refused",
            )?;
        }
    }
    Ok(())
}

/// The smallest and the largest values are kept; beyond them nothing is stored.
pub async fn sizes_are_as_promised(subject: &dyn Subject) -> Verdict {
    let (hand, backend) = (Hand::new(), subject.backend());
    let capabilities = backend.capabilities();
    let (least, most) = (capabilities.least_bytes, capabilities.most_bytes);
    for size in [least, least.max(1), most] {
        let (coordinate, value) = (hand.coordinate(), of_size(size));
        hand.create(&*backend, &coordinate, &value).await?;
        hand.ensure_there(&*backend, &coordinate, &value).await?;
    }
    let mut refused = vec![(most + 1, ErrorKind::TooLarge)];
    if least > 0 {
        refused.push((least - 1, ErrorKind::Invalid));
    }
    for (size, kind) in refused {
        let (coordinate, value) = (hand.coordinate(), of_size(size));
        let answer = backend.put(&hand.request(&coordinate, &value)).await;
        ensure_kind(answer, &[kind], &format!("a value of {size} bytes"))?;
        ensure_kind(
            backend.get(&coordinate).await,
            MISSING,
            "get what was refused",
        )?;
    }
    Ok(())
}

/// Marked text that does not compress to nothing, so that no limit is met by luck.
fn of_size(bytes: usize) -> SecretValue {
    let mut state: u32 = 0x2545_f491;
    let letters = (0..bytes).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b"abcdefghijklmnopqrstuvwxyz012345"[(state % 32) as usize]
    });
    let text = MARKER.bytes().chain(letters);
    SecretValue::new(text.take(bytes).collect())
}
