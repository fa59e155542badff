//! What the server answers wrk, which sends the same requests and does nothing with the answers.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::capture::Request;
use crate::targets::Target;
use crate::{LONG, Operation};

/// Requests a second.
pub(crate) fn calls_a_second(
    target: &Target,
    operation: Operation,
    requests: &[Request],
    in_flight: usize,
) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("requests.lua");
    std::fs::write(&script, lua(operation, requests)?)?;
    let output = Command::new("wrk")
        .args(["--threads", if in_flight > 1 { "2" } else { "1" }])
        .args(["--connections", &in_flight.to_string()])
        .args(["--duration", &format!("{}s", LONG.as_secs())])
        .arg("--script")
        .arg(&script)
        .arg(&target.url)
        .output()
        .context("`wrk` could not be started; it is the Debian package wrk")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let number = |start: &str| {
        told.lines()
            .find_map(|line| {
                line.trim()
                    .strip_prefix(start)?
                    .split(' ')
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0_usize)
    };
    let sent = told
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .unwrap_or(0_usize);
    // A put may look first whether its name is free: then "not there" is the answer it wants. And
    // Azure's names the version that the vault gave it before, which nobody else's put has.
    let vain = match operation {
        Operation::Put => requests
            .iter()
            .filter(|it| ["GET", "PATCH"].contains(&it.method.as_str()))
            .count(),
        _ => 0,
    };
    let most = (sent * vain).div_ceil(requests.len().max(1)) + in_flight * vain;
    if number("Non-2xx or 3xx responses: ") > most {
        bail!("the server refused requests of the load generator:\n{told}");
    }
    let rate = told
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .and_then(|rate| rate.trim().parse().ok());
    rate.with_context(|| {
        let why = String::from_utf8_lossy(&output.stderr);
        format!("wrk told no rate:\n{told}{why}")
    })
}

/// A script that sends the requests in turn, each thread its own part of many. A put's are about
/// another name each time: the owner's part of the coordinate, wherever it stands, is counted up.
fn lua(operation: Operation, requests: &[Request]) -> Result<String> {
    let mut text = String::from("local requests = {}\n");
    for request in requests {
        write!(
            text,
            "requests[#requests + 1] = {{{}, {}, {{",
            quoted(plain_method(request)),
            quoted(&plain_path(request))
        )?;
        for (name, value) in &request.headers {
            // It writes a host of its own beside every other spelling.
            let name = if name == "host" { "Host" } else { name };
            write!(text, "[{}] = {}, ", quoted(name), quoted(value))?;
        }
        writeln!(text, "}}, {}}}", quoted(&request.body))?;
    }
    let owner = match operation {
        // What is signed stays as it is; there are many of them instead.
        Operation::Put if !is_signed(requests) => requests
            .iter()
            .find_map(|it| owner(&it.path).or_else(|| owner(&it.body))),
        _ => None,
    };
    writeln!(
        text,
        "local owner = {}",
        owner.map_or("nil".to_owned(), |it| quoted(&it))
    )?;
    text.push_str(
        "local threads = 0
function setup(thread) threads = threads + 1 thread:set('id', threads) end
local at, round = nil, 0
function request()
  if not at then
    local part = #requests >= 1000 and #requests / 2 or 0
    at = math.floor((id - 1) * part)
  end
  at = at + 1
  if at > #requests then at = 1 round = round + 1 end
  local it = requests[at]
  local path, body = it[2], it[4]
  if owner then
    local fresh = string.format('%08x-%04x-4000-8000-%012x', os.time(), id, round)
    local pattern = owner:gsub('%-', '%%-')
    path = path:gsub(pattern, fresh)
    body = body:gsub(pattern, fresh)
  end
  if body == '' then body = nil end
  return wrk.format(it[1], path, it[3], body)
end
",
    );
    Ok(text)
}

/// wrk refuses the method LIST, for which the servers that have it take a GET that says so.
fn plain_method(request: &Request) -> &str {
    match request.method.as_str() {
        "LIST" => "GET",
        other => other,
    }
}

fn plain_path(request: &Request) -> String {
    let path = &request.path;
    match request.method.as_str() {
        "LIST" if path.contains('?') => format!("{path}&list=true"),
        "LIST" => format!("{path}?list=true"),
        _ => path.clone(),
    }
}

fn is_signed(requests: &[Request]) -> bool {
    let mut headers = requests.iter().flat_map(|it| &it.headers);
    headers.any(|(name, value)| name == "authorization" && value.starts_with("AWS4-"))
}

/// The owner's id in a coordinate, however the manager writes its underscores.
fn owner(text: &str) -> Option<String> {
    let from = text
        .find("workspace_")
        .or_else(|| text.find("workspace-"))?
        + "workspace_".len();
    text.get(from..from + 36).map(ToOwned::to_owned)
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(char::from(byte));
            }
            0x20..=0x7e => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\{byte:03}");
            }
        }
    }
    quoted.push('"');
    quoted
}
