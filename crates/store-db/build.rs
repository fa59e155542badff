//! Embeds the migrations: a list of version, description and text for each database.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    for database in ["sqlite", "postgres"] {
        let folder = Path::new(&manifest).join("../../migrations").join(database);
        println!("cargo::rerun-if-changed={}", folder.display());
        fs::write(
            Path::new(&out).join(format!("{database}_migrations.rs")),
            list_of(&folder)?,
        )?;
    }
    Ok(())
}

/// A Rust expression: `&[(version, description, text), ..]` in the order of the versions.
fn list_of(folder: &Path) -> io::Result<String> {
    let mut migrations = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let (version, description) = name
            .split_once('_')
            .and_then(|(number, rest)| Some((number.parse::<i64>().ok()?, rest.replace('_', " "))))
            .ok_or_else(|| io::Error::other(format!("{name}: not <number>_<description>.sql")))?;
        migrations.push((version, description, path.canonicalize()?));
    }
    migrations.sort();
    let mut list = "&[\n".to_owned();
    for (version, description, path) in migrations {
        let text = path.to_string_lossy();
        writeln!(
            list,
            "({version}, {description:?}, include_str!({text:?})),"
        )
        .map_err(io::Error::other)?;
    }
    list.push(']');
    Ok(list)
}
