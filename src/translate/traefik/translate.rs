//! The static and the dynamic part, in files or as labels.

use std::path::Path;

use super::whole::Whole;
use super::{labels, routers, settings};
use crate::translate::pools::Pools;
use crate::translate::source::{SourceError, Work};
use crate::translate::tree::Node;
use crate::translate::tree_file;

/// Translates a static file with the dynamic files that it names, a dynamic file, or a Compose file.
pub(in crate::translate) fn translate(
    path: &Path,
    mut config: Node,
    work: &mut Work<'_>,
) -> Result<(), SourceError> {
    if config.get("services").is_some() && config.get("http").is_none() {
        let dynamic = labels::read(&config, work);
        config.merge(dynamic);
    }
    let base = path.parent().unwrap_or(Path::new(""));
    if let Some(file) = config.at("providers.file").cloned() {
        let patterns = match (file.text_of("filename"), file.text_of("directory")) {
            (Some(name), _) => vec![base.join(name)],
            (None, Some(directory)) => {
                ["*.yml", "*.yaml", "*.toml"].map(|it| base.join(directory).join(it)).to_vec()
            }
            (None, None) => Vec::new(),
        };
        for pattern in patterns {
            match tree_file::read(&pattern, work.reader, &mut work.findings) {
                Ok(dynamic) => config.merge(dynamic),
                Err(SourceError::Unreadable { file: missing, message }) => {
                    let shown = format!("providers.file: {}", missing.display());
                    let why = format!("cannot read it ({message}); what it says is missing here");
                    work.findings.deny_all(file.place, shown, why);
                }
                Err(error) => return Err(error),
            }
        }
    }
    let empty = Node::default();
    let http = config.get("http").unwrap_or(&empty);
    let mut whole = Whole { http, config: &config, pools: Pools::default() };
    settings::read(&config, work);
    routers::add(&mut whole, work);
    for part in ["tcp", "udp"] {
        if let Some(node) = config.get(part) {
            work.findings.warn(node.place, part, "not in vhost: HTTP only");
        }
    }
    settings::listen(&config, work);
    whole.pools.write(&mut work.draft);
    work.draft.health_check.set("kind", "tcp");
    work.draft.health_check.comment(
        "Traefik asked the other backends for no path. One that says whether they are well is better: path = \"/up\"",
    );
    Ok(())
}
