//! Undoing escapes, wherever they come from: JSON in JSON in YAML, XML, URLs, PostgreSQL's own.

/// The text with every escape undone that stands for a character of names or of what they are written in, for
/// one that begins another escape, or for one that a line ends with; `None` where there is none. It is shorter than what it came from.
pub(super) fn undo(text: &[u8]) -> Option<Vec<u8>> {
    let mut undone = Vec::new();
    let mut taken = 0;
    let mut at = 0;
    while let Some(next) = memchr::memchr3(b'\\', b'%', b'&', &text[at..]) {
        let start = at + next;
        match escape(&text[start..]) {
            Escape::Stands(byte, length) if is_telling(byte) => {
                undone.extend_from_slice(&text[taken..start]);
                undone.push(byte);
                taken = start + length;
                at = taken;
            }
            Escape::Stands(_, length) | Escape::Nothing(length) => at = start + length,
        }
    }
    if taken == 0 {
        return None;
    }
    undone.extend_from_slice(&text[taken..]);
    Some(undone)
}

enum Escape {
    /// This character, written in so many bytes.
    Stands(u8, usize),
    /// So many bytes that are no escape of a single character.
    Nothing(usize),
}

fn is_telling(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'_' | b'-'
                | b':'
                | b'\\'
                | b'%'
                | b'&'
                | b'#'
                | b';'
                | b'/'
                | b'+'
                | b'\n'
                | b'\r'
                | b'\t'
                | b' '
                | 0
        )
}

fn escape(text: &[u8]) -> Escape {
    match text[0] {
        b'%' => numbered(text, 1, 2, 16),
        b'&' => entity(text),
        _ => backslashes(text),
    }
}

/// Each level of nesting doubles the backslashes, so any number of them is taken for one.
fn backslashes(text: &[u8]) -> Escape {
    let run = text.iter().take_while(|byte| **byte == b'\\').count();
    let behind = run + 1;
    match text.get(run) {
        Some(b'u') if text.get(behind) == Some(&b'{') => braced(text, behind + 1, b'}', 16),
        Some(b'u') => numbered(text, behind, 4, 16),
        Some(b'U') => numbered(text, behind, 8, 16),
        Some(b'x') => numbered(text, behind, 2, 16),
        Some(b'0'..=b'7') => numbered(text, run, 3, 8),
        Some(b'/') => Escape::Stands(b'/', run + 1),
        _ => Escape::Nothing(run),
    }
}

/// What XML and HTML call characters that tell something.
const NAMED: [(&[u8], u8); 14] = [
    (b"&amp;", b'&'),
    (b"&AMP;", b'&'),
    (b"&lowbar;", b'_'),
    (b"&UnderBar;", b'_'),
    (b"&hyphen;", b'-'),
    (b"&colon;", b':'),
    (b"&sol;", b'/'),
    (b"&plus;", b'+'),
    (b"&bsol;", b'\\'),
    (b"&percnt;", b'%'),
    (b"&num;", b'#'),
    (b"&semi;", b';'),
    (b"&NewLine;", b'\n'),
    (b"&Tab;", b'\t'),
];

/// `&#95;`, `&#x5f;`, `&amp;`.
fn entity(text: &[u8]) -> Escape {
    if text.starts_with(b"&#x") || text.starts_with(b"&#X") {
        return braced(text, 3, b';', 16);
    }
    if text.starts_with(b"&#") {
        return braced(text, 2, b';', 10);
    }
    let named = NAMED.iter().find(|(named, _)| text.starts_with(named));
    named.map_or(Escape::Nothing(1), |(named, byte)| {
        Escape::Stands(*byte, named.len())
    })
}

/// A number of exactly so many digits.
fn numbered(text: &[u8], from: usize, digits: usize, base: u32) -> Escape {
    match text.get(from..from + digits).map(|it| number(it, base)) {
        Some(Some(byte)) => Escape::Stands(byte, from + digits),
        _ => Escape::Nothing(from),
    }
}

/// A number of up to ten digits with something behind it.
fn braced(text: &[u8], from: usize, close: u8, base: u32) -> Escape {
    let digits = text[from.min(text.len())..]
        .iter()
        .take(11)
        .position(|byte| *byte == close);
    match digits.map(|length| (length, number(&text[from..from + length], base))) {
        Some((length, Some(byte))) => Escape::Stands(byte, from + length + 1),
        _ => Escape::Nothing(from.min(text.len())),
    }
}

/// The ASCII character of a number.
fn number(digits: &[u8], base: u32) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    let value = u32::from_str_radix(digits, base).ok()?;
    u8::try_from(value).ok().filter(u8::is_ascii)
}
