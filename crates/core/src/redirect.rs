//! An answer that sends a request elsewhere. No backend follows one: the token, or the value that is to be
//! written, would go to a server that nobody configured, and what that one answers would count as the manager's.

/// An answer that sends the request elsewhere. Nothing is known about the secret then, whatever else the answer
/// says. Of where it leads scheme, host and port are kept and nothing else, since a login, a path or a query may
/// hold a secret.
///
/// ```
/// use cloakroom_core::redirect::Redirect;
///
/// let redirect = Redirect::of(307, Some("https://b.example/v1?token=x")).unwrap();
/// let told = redirect.told_by("https://a.example:8200/v1");
/// assert!(told.starts_with("https://a.example:8200 answered with a redirect (HTTP 307) to https://b.example,"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    status: u16,
    /// Whether it says where it leads.
    leads: bool,
    /// The server it names.
    to: Option<String>,
}

impl Redirect {
    /// What an HTTP status and a Location header are together; `None` where the status sends nobody elsewhere.
    pub fn of(status: u16, location: Option<&str>) -> Option<Self> {
        (300..400).contains(&status).then(|| Self {
            status,
            leads: location.is_some(),
            to: location.and_then(origin),
        })
    }

    /// What a person is told: who answered, where it leads, what to do. `asked` is the address that was asked, of
    /// which again no more is told, or words for it.
    pub fn told_by(&self, asked: &str) -> String {
        let from = origin(asked).unwrap_or_else(|| asked.to_owned());
        let to = match &self.to {
            Some(to) if *to == from => "to another path of its own".to_owned(),
            Some(to) => format!("to {to}"),
            None if self.leads => "to a place without a host".to_owned(),
            None => "to nowhere".to_owned(),
        };
        format!(
            "{from} answered with a redirect (HTTP {}) {to}, which is not followed, since token and value would go \
             along; configure the address of the manager itself, or mend what answers in its stead",
            self.status
        )
    }
}

/// The longest name of a host, a colon and a port.
const LONGEST_HOST: usize = 253 + 6;

/// Scheme, host and port of an address, where it has them and they are nothing but that.
fn origin(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(&*scheme, "http" | "https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let is_host = !host.is_empty() && host.len() <= LONGEST_HOST && host.bytes().all(plain);
    is_host.then(|| format!("{scheme}://{}", host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answered_and_where_it_leads_is_told_and_nothing_else() {
        let asked = "https://user:canary@a.example:8200/v1/canary?canary";
        for (location, to) in [
            (
                Some("https://B.example/canary?token=canary#canary"),
                "to https://b.example,",
            ),
            (
                Some("HTTP://canary:canary@[::1]:80?canary"),
                "to http://[::1]:80,",
            ),
            (
                Some("https://a.example:8200/canary"),
                "to another path of its own,",
            ),
            (Some("/canary?canary"), "to a place without a host,"),
            (Some("https://can\u{1b}ary/"), "to a place without a host,"),
            (Some("file:///canary"), "to a place without a host,"),
            (None, "to nowhere,"),
        ] {
            let redirect = Redirect::of(307, location).unwrap();
            let told = redirect.told_by(asked);
            let begin = "https://a.example:8200 answered with a redirect (HTTP 307) ";
            assert!(told.starts_with(&format!("{begin}{to}")), "{told}");
            assert!(!format!("{told} {redirect:?}").contains("canary"), "{told}");
        }
    }

    #[test]
    fn words_for_an_address_stay_as_they_are() {
        let redirect = Redirect::of(301, Some("https://b")).unwrap();
        let told = redirect.told_by("STS");
        let begin = "STS answered with a redirect (HTTP 301) to https://b,";
        assert!(told.starts_with(begin), "{told}");
    }

    #[test]
    fn every_status_of_its_class_is_one() {
        for status in [300, 301, 302, 303, 304, 307, 308, 399] {
            assert!(Redirect::of(status, None).is_some(), "{status}");
        }
        for status in [200, 204, 400, 404, 500] {
            assert_eq!(Redirect::of(status, Some("https://b")), None, "{status}");
        }
    }
}
