//! Text in lines, as MIME and PEM write base64, whether the breaks stand as they are or as escapes.

/// The text without the line breaks between letters of base64, which those of names are; `None` where there
/// is none.
pub(super) fn join(text: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    let mut taken = 0;
    let mut at = 0;
    while let Some(next) = memchr::memchr3(b'\n', b'\r', b'\\', &text[at..]) {
        let found = at + next;
        let length = breaks(&text[found..]);
        let end = found + length;
        let start = found - trailing_spaces(&text[at..found]);
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
            found + slashes(&text[found..]).max(1)
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
            // A backslash at the end of a line says that it goes on.
            Some(b'\n' | b'\r') => at += run + 1,
            Some(b' ' | b'\t') if run == 0 && at > 0 => at += 1,
            _ => return at,
        }
    }
}

fn trailing_spaces(text: &[u8]) -> usize {
    let spaces = text
        .iter()
        .rev()
        .take_while(|it| matches!(it, b' ' | b'\t'));
    spaces.count()
}

fn slashes(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'\\').count()
}

fn is_of_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}
