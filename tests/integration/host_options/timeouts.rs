//! How long the backends of one domain may take.

use crate::harness::*;

#[test]
fn a_domain_has_a_response_timeout_of_its_own() {
    let backend = Backend::start("web");
    let setup = Setup::new().domain("example.com", "a").backend("web", backend.address(), &["a"]);
    let vhost = setup.set("upstream.read_timeout_secs", 600).start();
    vhost.wait_until_healthy(1);
    let set = ["domain", "set", "example.com", "--option", "timeouts.response_secs=0.3"];
    vhost.ctl_ok(&set);
    assert_eq!(vhost.get("example.com", "/hold").status, 504);
    vhost.wait_for_log("reason=upstream_timeout");
    assert_eq!(vhost.get("example.com", "/").status, 200);
}
