//! Which benchmarks there are. A new one is one more entry of `ENTRIES`.

/// One bench target: `cargo bench -p PACKAGE --bench BENCH`.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) package: &'static str,
    pub(super) bench: &'static str,
    pub(super) reading: Reading,
    /// What the figures stand beside.
    pub(super) peer: &'static str,
    pub(super) limits: &'static [Limit],
    /// Whether it measures against servers.
    pub(super) servers: bool,
}

/// How its results are read.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// From criterion's files, and from lines of JSON that the target prints (see `results`).
    Figures,
    /// Under callgrind: the same number on every machine of a kind, whatever else runs there. Held
    /// against the committed baseline.
    Instructions {
        arguments: &'static [&'static str],
        /// Count inside these only, by callgrind's patterns; none: the whole program.
        functions: &'static [&'static str],
    },
}

/// A figure may not be past this. Limits on times have to leave room for a busy machine.
pub(super) struct Limit {
    /// The figure's name as the table shows it.
    pub(super) figure: &'static str,
    /// In the figure's own unit; times are in nanoseconds.
    pub(super) most: f64,
}

impl Entry {
    pub(super) fn limit_of(&self, figure: &str) -> Option<&Limit> {
        self.limits.iter().find(|it| it.figure == figure)
    }

    pub(super) fn group(&self) -> Group {
        match self.name {
            BACKENDS => Group::Backends,
            AIRBYTE_SCAN | AIRBYTE_REPORT => Group::Airbyte,
            _ => Group::Usual,
        }
    }

    /// The profile that it is built with. `release` leaves the managers' clients unoptimised so that it
    /// builds fast; beside a server's ceiling counts what is shipped.
    pub(super) fn profile(&self) -> &'static str {
        match self.group() {
            Group::Backends => "dist",
            Group::Usual | Group::Airbyte => "bench",
        }
    }
}

/// What is run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Usual,
    /// Needs every server, and is run when asked for.
    Backends,
    /// Fills servers of its own, and is run when asked for.
    Airbyte,
}

const BACKENDS: &str = "backends";

const AIRBYTE_SCAN: &str = "Airbyte, scan";

const AIRBYTE_REPORT: &str = "Airbyte, report";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "coordinates",
        package: "cloakroom-coordinates",
        bench: "parse",
        reading: Reading::Figures,
        peer: "the row \"naive peer\": split and the libraries' parsers",
        limits: &[Limit {
            // 20 million a second.
            figure: "parse/managed",
            most: 50.0,
        }],
        servers: false,
    },
    Entry {
        name: "coordinates, instructions",
        package: "cloakroom-coordinates",
        bench: "parse",
        reading: Reading::Instructions {
            // criterion's own switch: every benchmark once, nothing measured.
            arguments: &["--test"],
            functions: &["*Grammar*read*"],
        },
        peer: "",
        limits: &[],
        servers: false,
    },
    Entry {
        name: "configurations",
        package: "cloakroom-core",
        bench: "config",
        reading: Reading::Figures,
        peer: "the row \"parse\": serde_json reading the same text",
        limits: &[
            Limit {
                figure: "split",
                most: 10_000.0,
            },
            Limit {
                figure: "hydrate",
                most: 10_000.0,
            },
            Limit {
                figure: "mask",
                most: 10_000.0,
            },
        ],
        servers: false,
    },
    Entry {
        name: "configurations, instructions of update",
        package: "cloakroom-core",
        bench: "config",
        reading: Reading::Instructions {
            arguments: &["--test"],
            functions: &["*config::update::update*"],
        },
        peer: "",
        limits: &[],
        servers: false,
    },
    Entry {
        name: "configurations, instructions of hydrate",
        package: "cloakroom-core",
        bench: "config",
        reading: Reading::Instructions {
            arguments: &["--test"],
            functions: &["*config::hydrate::hydrate*"],
        },
        peer: "",
        limits: &[],
        servers: false,
    },
    Entry {
        name: "configurations, instructions of mask",
        package: "cloakroom-core",
        bench: "config",
        reading: Reading::Instructions {
            arguments: &["--test"],
            functions: &["*config::mask::mask*"],
        },
        peer: "",
        limits: &[],
        servers: false,
    },
    Entry {
        name: "deployments",
        package: "cloakroom-reconciler",
        bench: "deployment",
        reading: Reading::Figures,
        peer: "the rows \"peer\": plain transactions with the same writes; \"disk\": a document waits for it three times",
        limits: &[
            Limit {
                figure: "growth of processor time a secret, largest beside smallest pass",
                most: 1.2,
            },
            Limit {
                figure: "growth of reads a secret, largest beside smallest pass",
                most: 1.2,
            },
            Limit {
                figure: "peak memory of the largest pass",
                most: 150e6,
            },
        ],
        servers: true,
    },
    Entry {
        name: BACKENDS,
        package: "cloakroom-reconciler",
        bench: "backends",
        reading: Reading::Figures,
        peer: "the same requests on plain connections to the same server",
        limits: &[],
        servers: true,
    },
    Entry {
        name: AIRBYTE_SCAN,
        package: "cloakroom-store-airbyte",
        bench: "scan",
        reading: Reading::Figures,
        peer: "the row \"copy\": COPY of the same columns to nowhere, in turns",
        limits: &[Limit {
            figure: "scan beside copy",
            most: 1.5,
        }],
        servers: true,
    },
    Entry {
        name: AIRBYTE_REPORT,
        package: "cloakroom-reconciler",
        bench: "airbyte",
        reading: Reading::Figures,
        peer: "the rows \"script\": list, then a describe and a query for each secret, one after the other",
        limits: &[
            Limit {
                figure: "report: requests beside pages of the listing",
                most: 1.01,
            },
            Limit {
                figure: "report: peak memory",
                most: 150e6,
            },
        ],
        servers: true,
    },
];
