//! Base64 in lines, as MIME and PEM write it, whether the breaks stand as they are or as escapes.

/// The text without the line breaks between letters of base64; `None` where there is none.
pub(super) fn join(text: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    let mut taken = 0;
    let mut at = 0;
    while let Some(next) = memchr::memchr3(b'\n', b'\r', b'\\', &text[at..]) {
        let start = at + next;
        let length = breaks(&text[start..]);
        let end = start + length;
        let within = start > 0
            && is_of_base64(text[start - 1])
            && text.get(end).copied().is_some_and(is_of_base64);
        if length > 0 && within {
            joined.extend_from_slice(&text[taken..start]);
            taken = end;
        }
        at = if length > 0 {
            end
        } else {
            start + slashes(&text[start..]).max(1)
        };
    }
    if taken == 0 {
        return None;
    }
    joined.extend_from_slice(&text[taken..]);
    Some(joined)
}

/// The bytes of line breaks, and of the spaces behind them, that the text begins with.
fn breaks(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        // Each level of nesting doubles the backslashes.
        let run = slashes(rest);
        match rest.get(run) {
            Some(b'n' | b'r' | b't') if run > 0 => at += run + 1,
            Some(b'\n' | b'\r') if run == 0 => at += 1,
            Some(b' ' | b'\t') if run == 0 && at > 0 => at += 1,
            _ => return at,
        }
    }
}

fn slashes(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'\\').count()
}

fn is_of_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}
