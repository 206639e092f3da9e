//! `docs/rest.md` works as printed, with the statuses that it prints.

use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// Tells after each answer its status, its method and its path.
const TOLD: &str = r#"
curl() {
    command curl -sS --max-time 30 -w '\n<<%{http_code} %{method} %{url}>>\n' "$@"
}
"#;

/// A request of a page: its status as it was, its method and its path.
type Asked = (u16, String, String);

/// Runs the commands of a text; the requests that they made, and the statuses that the text prints.
fn run(api: &Api, text: &str) -> (Vec<Asked>, Vec<u16>) {
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let script = blocks.collect::<String>();
    let printed = script
        .lines()
        .filter_map(|line| line.rsplit_once("# ")?.1.get(..3)?.parse().ok())
        .collect();
    let script = script
        .replace("127.0.0.1:8080", &api.address.to_string())
        // What is deployed must answer.
        .replace("localhost:3002", api.vhost.backend("web-b")["address"].as_str().expect("text"))
        .replace("/run/vhost/admin.sock", &api.vhost.socket().display().to_string());
    let path = format!(
        "{}:{}",
        Path::new(vhost_binary()).parent().expect("it is in a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("timeout")
        .args(["--kill-after=5", "100", "bash", "-euc", &format!("{TOLD}{script}")])
        .env("PATH", path)
        .env("VHOST_SOCKET", api.vhost.socket())
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let asked = stdout.lines().filter_map(|line| {
        let mut words = line.strip_prefix("<<")?.strip_suffix(">>")?.splitn(3, ' ');
        let (status, method, url) = (words.next()?, words.next()?, words.next()?);
        let path = url.strip_prefix("http://")?.split_once('/')?.1;
        let path = path.split('?').next()?;
        Some((status.parse().ok()?, method.to_owned(), format!("/{path}")))
    });
    (asked.collect(), printed)
}

/// The operations of the document that no request was one of.
fn left_out(api: &Api, asked: &[Asked]) -> Vec<String> {
    let mut left = Vec::new();
    for (path, operations) in api.document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let of_it = |(_, asked, at): &Asked| {
                let (parts, given) = (path.split('/'), at.split('/'));
                asked.eq_ignore_ascii_case(method)
                    && path.split('/').count() == at.split('/').count()
                    && parts.zip(given).all(|(part, given)| part == given || part.starts_with('{'))
            };
            if !asked.iter().any(of_it) {
                left.push(format!("{method} {path}"));
            }
        }
    }
    left
}

#[test]
fn the_page_on_the_api_works_as_printed_and_asks_for_everything() {
    let api = Api::start();
    let (asked, printed) = run(&api, include_str!("../../../docs/rest.md"));
    let statuses: Vec<u16> = asked.iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, printed, "{asked:#?}");
    assert_eq!(left_out(&api, &asked), [""; 0]);
}
