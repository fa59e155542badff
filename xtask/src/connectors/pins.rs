//! Which connectors, in which version: chosen for the variety of their specs.

/// One published package, `airbyte-source-NAME`.
pub(super) struct Pin {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) sha256: &'static str,
}

impl Pin {
    pub(super) fn requirement(&self) -> String {
        format!(
            "airbyte-source-{}=={} --hash=sha256:{}\n",
            self.name, self.version, self.sha256
        )
    }

    pub(super) fn wheel(&self) -> String {
        format!(
            "airbyte_source_{}-{}-py3-none-any.whl",
            self.name.replace('-', "_"),
            self.version
        )
    }
}

pub(super) const PINS: &[Pin] = &[
    // spec.json, four secrets at the top.
    Pin {
        name: "amazon-seller-partner",
        version: "4.6.4",
        sha256: "0955d569021eae78bbe679cbcec216cf09689052304a6feefc80d41d8e73402a",
    },
    // spec.json, a choice of eight storages: a Google service account, AWS and Azure keys, passwords.
    Pin {
        name: "file",
        version: "0.6.0",
        sha256: "d9353efa46cbab4caf83236292184374cdf08ef89787b7b9b7f3f6181920d721",
    },
    // The spec is inside manifest.yaml; OAuth or a token.
    Pin {
        name: "github",
        version: "2.7.1",
        sha256: "d9eb2faa56f5fd7ae52f7dc54fb07b3abd578f3d07b233a0af50f4728ada1da8",
    },
    // spec.json beside a manifest.yaml without a spec.
    Pin {
        name: "gitlab",
        version: "4.3.7",
        sha256: "62480da34965a8aced27e69ee06692adca5e5bb528bcaad069733b182335b354",
    },
    // spec.json, secrets in a nested object that is no choice.
    Pin {
        name: "google-ads",
        version: "6.1.7",
        sha256: "be8c984e9bafc74fa50965fec387f3c839d4667795c774a36f23082a1c8cbdb1",
    },
    // The spec is inside manifest.yaml; a service account as JSON in a string.
    Pin {
        name: "google-analytics-data-api",
        version: "2.8.2",
        sha256: "2677eae4882b579729ce8beaa167bd40f936e7f30e3e98c562c99cab380efb4f",
    },
    // spec.yaml; OAuth or a service account.
    Pin {
        name: "google-sheets",
        version: "0.11.0",
        sha256: "5a878476cacc331df04c0a292d44039a9c6f56dd848747d9d16e27745aeabcba",
    },
    // spec.yaml; OAuth or a private app.
    Pin {
        name: "hubspot",
        version: "5.7.0",
        sha256: "36010fd96f371616a8b353feda6e68997216ef57a4b04e88b4cc6d3e27c037b2",
    },
    // spec.json, a single secret.
    Pin {
        name: "jira",
        version: "4.0.0",
        sha256: "57d89d7c2466f6b549e9d76ef88598447c964525ee5fa77d5f6fe34d470ef016",
    },
    // spec.yaml; OAuth 1, five secrets.
    Pin {
        name: "netsuite",
        version: "0.1.29",
        sha256: "2946a1bdfaf33bb7b0c938f5e334e683d725d89d121727627144925af3378d69",
    },
    // spec.yaml and a spec inside manifest.yaml; a private key in PEM, many lines.
    Pin {
        name: "okta",
        version: "0.3.26",
        sha256: "63c25312ee8204d092a8d2bb30eb5c0814f3478e76c2295171fe2ce09e6ecc01",
    },
    // spec.yaml; a client id that is no secret beside a secret that is.
    Pin {
        name: "salesforce",
        version: "2.10.3",
        sha256: "0a3680909ba82ea2f08f535e4352e91c37d3d06d7acc5c22b65f7d95d9c6093b",
    },
    // spec.json; OAuth or an API password.
    Pin {
        name: "shopify",
        version: "4.3.0",
        sha256: "41365c53d79378b15191702e9b7c50769e98f092a59bac39831985276fcecb2c",
    },
    // spec.json beside a manifest.yaml.
    Pin {
        name: "slack",
        version: "3.0.0",
        sha256: "9161d4e6f51f5e8bc3a06c3dd58b1b1c10839d797fbcae194e5dfa584ec4d3b0",
    },
    // The spec is inside manifest.yaml; a single secret.
    Pin {
        name: "stripe",
        version: "5.14.1",
        sha256: "bcc00c82272d2115f7ba6b25a8f9b8adeac0e2e9ba5671932b3335f73bc3f7f3",
    },
    // spec.json; OAuth or a token.
    Pin {
        name: "zendesk-support",
        version: "4.9.1",
        sha256: "10564122b767f5521f0fbc71ad466149a600d2ab1b60bf2b0a3f82401a38982e",
    },
];
