//! Which part of an endpoint tells a manager from others: nothing where it is one more name of AWS's own service.

use url::{Host, Url};

/// What the names of AWS's endpoints end in, by partition, with those for IPv6 beside them.
const ENDS: &[&str] = &[
    "amazonaws.com",
    "api.aws",
    "amazonaws.com.cn",
    "api.amazonwebservices.com.cn",
    "amazonaws.eu",
    "api.amazonwebservices.eu",
    "c2s.ic.gov",
    "api.aws.ic.gov",
    "sc2s.sgov.gov",
    "api.aws.scloud",
    "csp.hci.ic.gov",
    "api.aws.hci.ic.gov",
    "cloud.adc-e.uk",
    "api.cloud-aws.adc-e.uk",
];

/// What AWS calls the two services in the names of their endpoints. A load balancer's name ends as theirs do, and
/// anything may be behind it.
const SERVICES: &[&str] = &["secretsmanager", "secretsmanager-fips", "ssm", "ssm-fips"];

/// An endpoint as far as it tells a manager from others of the same service, account and region. `None` where its host
/// is one of AWS's for that service: the region's own, a FIPS or dual-stack one, or that of a VPC endpoint. What is
/// written otherwise and is one address comes out alike.
///
/// ```
/// use cloakroom_backends_aws::address_of_manager;
///
/// let vpc = "https://vpce-0a1-b2c.secretsmanager.eu-central-1.vpce.amazonaws.com";
/// assert_eq!(address_of_manager(vpc), None);
/// let emulator = address_of_manager("http://LOCALHOST:4566/").unwrap();
/// assert_eq!(emulator, "http://127.0.0.1:4566");
/// ```
pub fn address_of_manager(endpoint: &str) -> Option<String> {
    let as_written = || endpoint.trim_end_matches('/').to_owned();
    let Ok(mut url) = Url::parse(endpoint) else {
        return Some(as_written());
    };
    let host = plain_host(&url);
    if host.as_deref().is_some_and(is_of_aws) {
        return None;
    }
    if url.set_host(host.as_deref()).is_err() {
        return Some(as_written());
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

/// The host without the dot of the root; every name of this machine is one.
fn plain_host(url: &Url) -> Option<String> {
    let this_machine = "127.0.0.1";
    let host = match url.host()? {
        Host::Ipv6(address) if address.is_loopback() => this_machine.to_owned(),
        Host::Domain(name) => match name.trim_end_matches('.') {
            "localhost" => this_machine.to_owned(),
            name => name.to_owned(),
        },
        host => host.to_string(),
    };
    Some(host)
}

fn is_of_aws(host: &str) -> bool {
    let before = |end: &&str| host.strip_suffix(*end)?.strip_suffix('.');
    let mut before = ENDS.iter().filter_map(before);
    before.any(|names| names.split('.').any(|name| SERVICES.contains(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_awss_own_service_is_none() {
        for host in [
            "secretsmanager.eu-central-1.amazonaws.com",
            "SecretsManager.eu-central-1.AmazonAWS.com.",
            "secretsmanager.eu-central-1.amazonaws.com:443",
            "secretsmanager-fips.us-east-1.amazonaws.com",
            "secretsmanager-fips.us-gov-west-1.amazonaws.com",
            "secretsmanager.eu-central-1.api.aws",
            "ssm-fips.ca-central-1.api.aws",
            "ssm.cn-north-1.amazonaws.com.cn",
            "secretsmanager.cn-north-1.api.amazonwebservices.com.cn",
            "secretsmanager.eusc-de-east-1.amazonaws.eu",
            "secretsmanager.us-iso-east-1.c2s.ic.gov",
            "vpce-0a1-b2c.secretsmanager.eu-central-1.vpce.amazonaws.com",
            "vpce-0a1-b2c-eu-central-1a.secretsmanager.eu-central-1.vpce.amazonaws.com",
            "vpce-0a1-b2c.ssm-fips.us-east-1.vpce.amazonaws.com",
        ] {
            for url in [
                format!("https://{host}"),
                format!("https://{host}/"),
                format!("http://{host}//"),
            ] {
                assert_eq!(address_of_manager(&url), None, "{url}");
            }
        }
    }

    #[test]
    fn what_may_be_anything_else_is_told() {
        for url in [
            "https://emulator-1.elb.eu-central-1.amazonaws.com",
            "https://vpce-0a1-b2c.vpce-svc-0c3.eu-central-1.vpce.amazonaws.com",
            "https://ec2-1-2-3-4.compute.amazonaws.com:4566",
            "https://secretsmanager.eu-central-1.amazonaws.com.example.org",
            "https://secretsmanager.example.org",
            "https://notamazonaws.com",
            "https://secretsmanager.eu-central-1.localhost.localstack.cloud:4566",
            "http://moto:5000",
            "http://127.0.0.1:4566",
            "http://[2001:db8::1]:4566",
            "https://gateway/aws",
        ] {
            // Nothing about the name that the store has noted of it changes.
            assert_eq!(address_of_manager(url).as_deref(), Some(url));
        }
    }

    #[test]
    fn one_address_is_one_however_it_is_written() {
        for (plain, others) in [
            (
                "http://127.0.0.1:4566",
                [
                    "http://localhost:4566",
                    "http://LOCALHOST.:4566/",
                    "http://[::1]:4566",
                    "http://[0:0:0:0:0:0:0:1]:4566//",
                ],
            ),
            (
                "https://gateway/aws",
                [
                    "https://gateway:443/aws",
                    "https://GateWay/aws/",
                    "https://gateway./aws",
                    "HTTPS://gateway/aws",
                ],
            ),
        ] {
            for other in others {
                assert_eq!(address_of_manager(other).as_deref(), Some(plain), "{other}");
            }
        }
        for (one, other) in [
            ("http://localhost:1", "http://localhost:2"),
            ("http://localhost:443", "https://localhost:443"),
            ("http://127.0.0.1:1", "http://127.0.0.2:1"),
            ("https://gateway/a", "https://gateway/A"),
        ] {
            assert_ne!(address_of_manager(one), address_of_manager(other));
        }
    }
}
