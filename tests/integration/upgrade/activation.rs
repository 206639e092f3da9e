//! Sockets from systemd: they listen also while no server runs.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::*;

/// A program that does as systemd does with socket units of these addresses and names, and then is the server.
fn activated(directory: &Path, sockets: &[(SocketAddr, &str)]) -> PathBuf {
    let path = directory.join("activated");
    let addresses: Vec<_> =
        sockets.iter().map(|(at, _)| (at.ip().to_string(), at.port())).collect();
    let names: Vec<_> = sockets.iter().map(|(_, name)| *name).collect();
    let text = format!(
        "#!/usr/bin/env python3\nimport os, socket, sys\n\
         at = {addresses}\n\
         made = []\n\
         for ip, port in at:\n\
         \x20   s = socket.socket(socket.AF_INET)\n\
         \x20   s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
         \x20   s.bind((ip, port))\n\
         \x20   s.listen(128)\n\
         \x20   made.append(s)\n\
         high = [os.dup(s.fileno()) for s in made]\n\
         high = [__import__('fcntl').fcntl(fd, 0, 100) for fd in high]\n\
         for n, fd in enumerate(high):\n\
         \x20   os.dup2(fd, 3 + n, inheritable=True)\n\
         os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES={names:?})\n\
         os.execv({binary:?}, [{binary:?}] + sys.argv[1:])\n",
        addresses = json!(addresses),
        names = names.join(":"),
        binary = vhost_binary(),
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_sockets_of_systemd_are_served_and_handed_on() {
    let backends = backends();
    let directory = tempfile::tempdir().unwrap();
    let [http, further, unknown] = free_ports(free_ip());
    let setup = site(&backends).at(http);
    // One by its name, whatever the config says of the address; one by its address.
    let sockets = [(further, "https"), (http, "vhost.socket"), (unknown, "metrics")];
    let program = activated(directory.path(), &sockets);
    let vhost = setup.program(&program).start();
    vhost.wait_until_healthy(2);
    vhost.wait_for_log("the config has no address for it");
    let status = vhost.ctl_ok(&["status"]).stdout;
    assert!(status.contains(&format!("the socket `{unknown}`")), "{status}");
    for _ in 0..2 {
        assert_eq!(vhost.get(HOST, "/").status, 200);
        let open = TlsClient::accepts_any().connect(further, Some(HOST));
        assert_eq!(open.expect("TLS").get(HOST, "/").status, 200);
        vhost.upgrade_to(Path::new(vhost_binary()));
    }
}
