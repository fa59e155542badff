//! Text that matches a regular expression.

use fancy_regex::{Expr, Regex};

use super::dice::Dice;

/// More repetitions than this of a part without upper bound make no better sample.
const MORE: usize = 4;

/// Nesting beyond which a part is left out; no pattern of a real schema comes near.
const DEEPEST: usize = 40;

/// What single characters are tried as, in this order: readable ones first.
const CHARACTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:/ ~@+=,;!#$%&'()*<>?[]^`{|}\"\\\t\näß✓";

/// Whether `text` matches; what cannot be read as a pattern matches everything, as a form that
/// cannot check it lets it pass.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).map_or(true, |regex| regex.is_match(text).unwrap_or(true))
}

/// A text that matches, or `None` where a few tries found none (look-around, back references).
pub(super) fn sample(pattern: &str, dice: &Dice<'_>) -> Option<String> {
    let tree = Expr::parse_tree(pattern).ok()?;
    (0..8).find_map(|_| {
        let mut text = String::new();
        write(&tree.expr, dice, 0, &mut text);
        matches(pattern, &text).then_some(text)
    })
}

fn write(expr: &Expr, dice: &Dice<'_>, depth: usize, text: &mut String) {
    if depth > DEEPEST {
        return;
    }
    let depth = depth + 1;
    match expr {
        Expr::Literal { val, .. } => text.push_str(val),
        Expr::Any { .. } => text.push(character(".", dice)),
        Expr::Delegate { inner, .. } => text.push(character(inner, dice)),
        Expr::Concat(parts) => parts.iter().for_each(|part| write(part, dice, depth, text)),
        Expr::Alt(parts) => {
            if let Some(part) = dice.pick(parts) {
                write(part, dice, depth, text);
            }
        }
        Expr::Group(inner) => write(inner, dice, depth, text),
        Expr::AtomicGroup(inner) => write(inner, dice, depth, text),
        Expr::Repeat { child, lo, hi, .. } => {
            let spread = hi.saturating_sub(*lo).min(MORE);
            for _ in 0..lo + dice.below(spread + 1) {
                write(child, dice, depth, text);
            }
        }
        // Anchors and look-around write nothing; the caller tries whether the whole matches.
        _ => {}
    }
}

fn character(class: &str, dice: &Dice<'_>) -> char {
    let Ok(regex) = Regex::new(&format!("^(?:{class})$")) else {
        return 'x';
    };
    let mut buffer = [0; 4];
    let fitting: Vec<char> = CHARACTERS
        .chars()
        .filter(|character| {
            regex
                .is_match(character.encode_utf8(&mut buffer))
                .unwrap_or(false)
        })
        .collect();
    dice.pick(&fitting).copied().unwrap_or('x')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::seeded::Seeded;

    #[test]
    fn patterns_of_the_kinds_connectors_use_are_met() {
        let seeded = Seeded::new(3);
        let dice = Dice::new(&seeded);
        for pattern in [
            r"^[0-9]{10}(,[0-9]{10})*$",
            r"^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            r"^[\w.-]+/(([\w.-]*\*)|[\w.-]+(?<!\.git))$",
            r"^(https?://)?[^\s/]+\.example$",
            r"^LAKE[A-Z0-9]{16}$",
            r"^\d+$",
            r"abc",
        ] {
            for _ in 0..20 {
                let text = sample(pattern, &dice).expect(pattern);
                assert!(
                    Regex::new(pattern).unwrap().is_match(&text).unwrap(),
                    "{pattern}: {text}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_met_is_none_and_what_cannot_be_read_is_let_pass() {
        let seeded = Seeded::new(3);
        let dice = Dice::new(&seeded);
        assert_eq!(sample("^(?!)$", &dice), None);
        assert_eq!(sample("(", &dice), None);
        assert!(matches("(", "anything"));
    }
}
