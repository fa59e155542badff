//! Prometheus with the project's own rules. It scrapes whatever tests name in a folder, once a
//! second.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::daemon::{Daemon, Launch, data_folder, free_port};
use crate::promtool;
use crate::workspace::own_folder;

pub(super) const NAME: &str = "prometheus";
pub(super) const ABOUT: &str = "Prometheus with deploy/prometheus/rules.yml, Debian package";

/// Exits with 0 once the server says that it is ready.
const KNOCK: &str = "import sys, urllib.request as r
r.urlopen('http://127.0.0.1:' + sys.argv[1] + '/-/ready', timeout=5)";

pub(super) fn start(_: &Path) -> Result<Daemon> {
    promtool::ensure("prometheus")?;
    let folder = data_folder(NAME)?;
    let targets = folder.join("targets");
    fs::create_dir(&targets).with_context(|| format!("cannot make {}", targets.display()))?;
    let config = folder.join("prometheus.yml");
    let rules = own_folder()
        .with_file_name("deploy")
        .join("prometheus/rules.yml");
    fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - job_name: cloakroom\n  \
               file_sd_configs: [{{files: ['{}/*.json']}}]\n",
            rules.display(),
            targets.display()
        ),
    )?;
    let port = free_port()?;
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        // A test may have changed the rules since.
        .arg("--web.enable-lifecycle")
        .arg("--log.level=warn");
    let mut ready = Command::new("python3");
    ready.args(["-c", KNOCK, &port.to_string()]);
    Daemon::start(Launch {
        command,
        ready,
        within: Duration::from_mins(1),
        port,
        folder,
        signal: Signal::SIGTERM,
        variables: BTreeMap::from([
            (
                "CLOAKROOM_TEST_PROMETHEUS_URL".to_owned(),
                format!("http://127.0.0.1:{port}"),
            ),
            (
                "CLOAKROOM_TEST_PROMETHEUS_TARGETS".to_owned(),
                targets.display().to_string(),
            ),
        ]),
    })
}
