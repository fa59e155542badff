//! What every request has to pass: a deadline, no body, and headers that browsers keep to.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What would be asked for in a body would not be heard, and a dry run would be a real one.
const NO_BODY: &str = "nothing here takes a body: leave it out, or say Content-Length: 0; a dry run is \
                       asked for by ?dry_run=true\n";

/// A page shows what this server says and nothing else: no script, no frame, no form.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
                              form-action 'none'; frame-ancestors 'none'";

/// Gives up on an answer that takes too long.
pub(super) async fn in_time(timeout: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no answer in time\n").into_response(),
    }
}

/// Refuses a body, and one that does not say how long it is: whoever waits for its end may wait for ever.
/// Clients that send an empty one are let be.
pub(super) async fn without_body(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        return (StatusCode::LENGTH_REQUIRED, NO_BODY).into_response();
    }
    let mut lengths = request.headers().get_all(header::CONTENT_LENGTH).iter();
    if lengths.any(|length| length != "0") {
        return (StatusCode::PAYLOAD_TOO_LARGE, NO_BODY).into_response();
    }
    next.run(request).await
}

/// Adds what keeps a browser from doing more than show the answer, now.
pub(super) async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
