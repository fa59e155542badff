//! The connection: our own timeouts and certificates, and plain HTTP for loopback alone.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, HttpClient, Request, RetryOptions, Transport, Url,
};
use cloakroom_core::{Error, ErrorKind, Result};

use crate::settings::{AzureSettings, invalid};

/// An address as the settings have it, and how it is reached.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// Always `https`, since the SDK sends no credential anywhere else.
    pub(super) url: String,
    plain: bool,
}

/// Certificates, timeouts and connections, shared by the vault and the login.
#[derive(Clone)]
pub(super) struct Connection {
    client: reqwest::Client,
}

/// Speaks plain HTTP to an address the SDK takes for HTTPS.
#[derive(Debug)]
struct Plain(reqwest::Client);

impl Address {
    /// Fails with `Invalid` for what is no address, and for plain HTTP to anywhere but loopback.
    pub(super) fn new(text: &str, what: &'static str) -> Result<Self> {
        let no_address = || invalid(format!("{what} is no address such as https://host"));
        let mut url = Url::parse(text.trim_end_matches('/')).map_err(|_| no_address())?;
        let has_login = !url.username().is_empty() || url.password().is_some();
        if url.host_str().is_none() || has_login || url.query().is_some() || url.path() != "/" {
            return Err(no_address());
        }
        let plain = url.scheme() == "http";
        if plain && !is_loopback(&url) {
            return Err(invalid(format!(
                "{what} is plain http, over which no credential is sent except to loopback: use https"
            )));
        }
        if !plain && url.scheme() != "https" {
            return Err(no_address());
        }
        if plain {
            let port = url.port_or_known_default();
            url.set_scheme("https").map_err(|()| no_address())?;
            url.set_port(port).map_err(|()| no_address())?;
        }
        Ok(Self {
            url: url.as_str().trim_end_matches('/').to_owned(),
            plain,
        })
    }

    /// Whether it is this machine's own, where no vault of Azure's is.
    pub(super) fn is_loopback(&self) -> bool {
        Url::parse(&self.url).is_ok_and(|url| is_loopback(&url))
    }
}

impl Connection {
    pub(super) fn new(settings: &AzureSettings) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(settings.timeout)
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_mins(1));
        if let Some(pem) = &settings.ca_certificates {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| invalid("ca_certificates holds no certificate in PEM"))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| {
            Error::new(
                ErrorKind::Invalid,
                "configure a key vault",
                "the system's or the given certificates cannot be used",
            )
            .with_source(error)
        })?;
        Ok(Self { client })
    }

    /// Options for a client of `address`: this connection, and no retries of the SDK's own.
    pub(super) fn options(&self, address: &Address) -> ClientOptions {
        let client: Arc<dyn HttpClient> = if address.plain {
            Arc::new(Plain(self.client.clone()))
        } else {
            Arc::new(self.client.clone())
        };
        options(Transport::new(client))
    }

    /// Options for a client that chooses its own addresses.
    pub(super) fn options_anywhere(&self) -> ClientOptions {
        options(Transport::new(Arc::new(self.client.clone())))
    }
}

#[async_trait]
impl HttpClient for Plain {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut request = request.clone();
        // The port is always given, so that the scheme's own does not change with it.
        let _ = request.url_mut().set_scheme("http");
        self.0.execute_request(&request).await
    }
}

/// The SDK's own retries are off: whoever asks the backend retries.
fn options(transport: Transport) -> ClientOptions {
    ClientOptions {
        transport: Some(transport),
        retry: RetryOptions::none(),
        ..ClientOptions::default()
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for (text, url) in [
            (
                "https://one.vault.azure.net/",
                "https://one.vault.azure.net",
            ),
            ("http://127.0.0.1:80", "https://127.0.0.1:80"),
            ("http://[::1]:8443", "https://[::1]:8443"),
            ("http://localhost:8443/", "https://localhost:8443"),
        ] {
            assert_eq!(Address::new(text, "vault_url").unwrap().url, url);
        }
        for text in [
            "",
            "one.vault.azure.net",
            "http://one.vault.azure.net",
            "http://127.0.0.1.example.com",
            "https://one.vault.azure.net/secrets",
            "https://user:canary@one.vault.azure.net",
            "https://one.vault.azure.net?sig=canary",
            "file:///etc/passwd",
        ] {
            let error = Address::new(text, "vault_url").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(!error.to_string().contains("canary"));
        }
    }
}
