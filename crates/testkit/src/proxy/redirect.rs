//! Answers that send a request elsewhere, and the requests of whoever goes there.

use hyper::Uri;
use hyper::http::request::Parts;

use super::fault::Answer;
use crate::canary::MARKER;

/// Those that change the method or may, and those that keep method and body.
const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// In the query of whoever followed one.
const FOLLOWED: &str = "followed=";

/// The answer to the n-th request: the same path at the same server, in a query that is nobody's to tell.
pub(super) fn answer(origin: &str, parts: &Parts, n: usize) -> Answer {
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let location = format!("{origin}{path}?{FOLLOWED}{MARKER}&{query}");
    let page =
        format!("<!doctype html><html><body>It is <a href=\"{location}\">there</a>.</body></html>");
    Answer {
        status: STATUSES[n % STATUSES.len()],
        headers: vec![
            ("location".to_owned(), location),
            (
                "content-type".to_owned(),
                "text/html; charset=utf-8".to_owned(),
            ),
        ],
        body: page,
    }
}

/// The request as it was before it was sent elsewhere, where it was.
pub(super) fn followed(parts: &Parts) -> Option<Parts> {
    let query = parts.uri.query()?.strip_prefix(FOLLOWED)?;
    let before = query.split_once('&').map_or("", |(_, before)| before);
    let path = parts.uri.path();
    let uri = if before.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{before}")
    };
    let mut parts = parts.clone();
    parts.uri = uri.parse::<Uri>().ok()?;
    Some(parts)
}
