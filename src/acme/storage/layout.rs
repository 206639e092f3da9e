//! Names of files and directories.

use crate::model::{DomainName, Pattern};

pub(in crate::acme) const IMPORTED: &str = "imported";

const WILDCARD: &str = "_wildcard.";

/// The directory of a CA: its host and path. Never [`IMPORTED`], as there is a `-` in it.
pub(super) fn ca(directory_url: &str) -> String {
    let (_, rest) = directory_url.split_once("://").unwrap_or(("", directory_url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let name = format!("{}-{path}", host.to_ascii_lowercase());
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    // A dot in front would hide it.
    name.chars().map(plain).collect::<String>().trim_start_matches('.').to_owned()
}

pub(super) fn file(name: &DomainName, extension: &str) -> String {
    match name.pattern() {
        Pattern::Wildcard(base) => format!("{WILDCARD}{base}.{extension}"),
        Pattern::Default => format!("_default.{extension}"),
        // A name may begin with `_`, and be one that stands for something else here.
        Pattern::Exact(name) if name.starts_with('_') => format!("_{name}.{extension}"),
        Pattern::Exact(name) => format!("{name}.{extension}"),
    }
}

/// The domain name of a file.
pub(super) fn name_of(stem: &str) -> Option<DomainName> {
    let name = match (stem.strip_prefix(WILDCARD), stem.strip_prefix("__")) {
        (Some(base), _) => format!("*.{base}"),
        (_, Some(rest)) => format!("_{rest}"),
        _ if stem == "_default" => "*".to_owned(),
        _ if stem.starts_with(['_', '*']) => return None,
        _ => stem.to_owned(),
    };
    // A name in another spelling would be found twice.
    name.parse::<DomainName>().ok().filter(|parsed| parsed.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ca_has_a_directory_of_its_own() {
        for (url, directory) in [
            (
                "https://acme-v02.api.letsencrypt.org/directory",
                "acme-v02.api.letsencrypt.org-directory",
            ),
            ("https://127.0.0.1:14000/dir", "127.0.0.1-14000-dir"),
            ("https://X.test/acme/local/directory", "x.test-acme-local-directory"),
            ("https://imported", "imported-"),
            ("https://x.test/../../etc", "x.test-..-..-etc"),
            ("https://../..", "-.."),
        ] {
            assert_eq!(ca(url), directory, "{url}");
        }
    }

    #[test]
    fn a_file_stands_for_one_name() {
        for (name, file_name) in [
            ("example.com", "example.com.pem"),
            ("*.example.com", "_wildcard.example.com.pem"),
            ("_wildcard.example.com", "__wildcard.example.com.pem"),
            ("__x.example.com", "___x.example.com.pem"),
            ("*", "_default.pem"),
            ("_default", "__default.pem"),
            ("[::1]", "[::1].pem"),
        ] {
            let name: DomainName = name.parse().unwrap();
            assert_eq!(file(&name, "pem"), file_name);
            assert_eq!(name_of(file_name.strip_suffix(".pem").unwrap()), Some(name));
        }
        for stem in ["", "_x", "a b", "EXAMPLE.com", "*.example.com", "..", "_wildcard."] {
            assert_eq!(name_of(stem), None, "{stem}");
        }
    }
}
