//! The file of smoke requests.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde::Deserialize;

use crate::model::SmokeRequests;

/// The most bytes of such a file: what it says goes over the socket.
const MAX_BYTES: usize = 256 * 1024;

/// Which requests a new version must answer.
#[derive(Debug, Args)]
pub(super) struct SmokeArgs {
    /// A file of requests, in TOML, that each new backend must answer as expected before the new tag is live; see
    /// `docs/deploy.md`
    #[arg(long = "smoke", id = "smoke", value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "force")]
    file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SmokeFile {
    requests: SmokeRequests,
}

impl SmokeArgs {
    /// What the file says, where one is given.
    pub(super) fn read(self) -> Result<Option<SmokeRequests>, String> {
        self.file.as_deref().map(read).transpose()
    }
}

fn read(path: &Path) -> Result<SmokeRequests, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{shown}` of `--smoke`: {error}"))?;
    if text.len() > MAX_BYTES {
        return Err(format!("`{shown}` of `--smoke` has more than {MAX_BYTES} bytes"));
    }
    let file: SmokeFile = toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let line = line.map_or_else(String::new, |line| format!(", line {line}"));
        format!("`{shown}` of `--smoke`{line}: {}", error.message())
    })?;
    Ok(file.requests)
}
