//! Requests made up from the `OpenAPI` document by schemathesis, which knows many ways to get one wrong.

use std::path::Path;
use std::process::Command;

use super::*;

#[test]
fn made_up_requests_find_no_failure_and_nothing_undocumented() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/st");
    if !tool.exists() {
        let needed = std::env::var_os("VHOST_NEEDS_TOOLS").is_some();
        assert!(!needed, "schemathesis is not there; `./dev test` installs it");
        eprintln!("skipped: schemathesis is not there; `./dev test` installs it");
        return;
    }
    let api = Api::start_with(|setup| setup.lifetime(Duration::from_mins(5)));
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args(["--kill-after=5", "200"])
        .arg(tool)
        .args(["run", &format!("http://{}/api/v1/openapi.json", api.address)])
        .args(["--header", &format!("Authorization: Bearer {}", api.token)])
        .args(["--checks", CHECKS, "--max-examples", "25", "--seed", "20260701"])
        // It goes on for as long as somebody listens.
        .args(["--exclude-path", "/api/v1/events"])
        .args(["--request-timeout", "30", "--suppress-health-check", "all", "--warnings", "off"])
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Coverage") && text.contains("passed"), "{text}");
    let errors = api.vhost.log_lines(" ERROR ");
    assert!(errors.is_empty(), "{errors:#?}");
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance,unsupported_method,\
                      allow_header_conformance";
