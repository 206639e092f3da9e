"""The packages of dist/, installed and used as an operator does. `./dev test --packages` runs it."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import machine
from image import Container, Image
from traffic import Backend, Load, get

DIST = machine.WORK / "dist"
# Of the packages. The programs in them are two builds, whose versions are what stands before the tilde.
VERSIONS = ["0.1.0~first", "0.1.1~second"]
PAGE = b"hello from the backend\n"
HOST = "shop.example.com"
CONFIG = "/etc/vhost/config.toml"


def package(version):
    architecture = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    return f"vhost_{version}_{architecture}.deb"


def with_other_config(version, folder):
    """The package, had its config file changed since the version before."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", DIST / package(version), tree], check=True)
    with open(tree / CONFIG.lstrip("/"), "a") as config:
        config.write("# The package's.\n")
    command = ["dpkg-deb", "-Znone", "--build", tree, folder / "vhost.deb"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class PackageTest(unittest.TestCase):
    def setUp(self):
        # For Unix sockets, which go by their path.
        shared = tempfile.TemporaryDirectory(dir=machine.WORK)
        self.addCleanup(shared.cleanup)
        self.shared = pathlib.Path(shared.name)
        self.shared.chmod(0o755)
        self.machine = machine.Machine({"/packages": DIST, "/run/app": self.shared})
        self.addCleanup(self.machine.stop)
        self.backend = Backend(PAGE)
        self.addCleanup(self.backend.stop)

    def install(self, version):
        return self.machine.run(f"dpkg --install /packages/{package(version)}").stdout

    def served_by(self):
        """The version of the running program, and its process."""
        status = json.loads(self.machine.run("vhost ctl status --output json").stdout)
        return status["version"], status["pid"]

    @contextlib.contextmanager
    def no_failures(self, what, kept=True):
        """Clients ask before, during and after a change: not one is refused or gets a wrong answer."""
        loads = [Load(80, HOST, PAGE), *([Load(80, HOST, PAGE, kept=True)] if kept else [])]
        for load in loads:
            self.addCleanup(load.stop)
            load.wait_for_more()
        before = [load.answered for load in loads]
        yield
        during = [load.answered - had for load, had in zip(loads, before)]
        for load in loads:
            load.wait_for_more()
            load.stop()
        for load in loads:
            self.assertEqual(load.failures, [], self.machine.journal())
        # A restart answers few of them: the others wait at the socket.
        self.assertGreater(min(during), 0)
        print(f"\n{sum(load.answered for load in loads)} requests, {sum(during)} of them while {what}: "
              "0 refused, 0 failed", file=sys.stderr)

    def deploy(self):
        self.machine.run(f"vhost ctl deploy shop 127.0.0.1:{self.backend.port} --host {HOST}")
        self.assertEqual(get(80, HOST), (200, PAGE))

    def test_install_starts_a_server_that_needs_no_edit(self):
        self.install(VERSIONS[0])
        self.assertEqual(self.machine.show("ActiveState"), "active", self.machine.journal())
        self.assertEqual(self.machine.show("UnitFileState"), "enabled")
        self.assertEqual(self.machine.show("NRestarts"), "0", self.machine.journal())
        self.assertEqual(get(80, HOST)[0], 404)
        self.deploy()
        user = self.machine.run("ps -o user= -C vhost 2> /dev/null || stat -c %U /proc/$(systemctl show -P MainPID vhost)")
        self.assertEqual(user.stdout.strip(), "vhost")
        self.assertEqual(self.machine.run(f"stat -c '%U:%G %a' {CONFIG}").stdout, "root:vhost 640\n")
        # `vhost init` replaces the file and leaves it to those who may read it.
        init = f"vhost init --domain {HOST} --backend localhost:{self.backend.port} --no-email --yes --force"
        self.machine.run(init)
        self.assertEqual(self.machine.run(f"stat -c '%U:%G %a' {CONFIG}").stdout, "root:vhost 640\n")
        self.machine.run("systemctl reload vhost")
        self.assertEqual(get(80, HOST), (200, PAGE))
        self.assertIn("config.toml: ok", self.machine.run(f"vhost check {CONFIG}", check=False).stdout)

    def test_the_unit_is_valid_and_confined(self):
        self.install(VERSIONS[0])
        unit = "/usr/lib/systemd/system/vhost.service"
        self.assertEqual(self.machine.run(f"systemd-analyze verify {unit}").stdout, "")
        # In tenths. The exit status says if it is above.
        self.machine.run(f"systemd-analyze security --offline=true --threshold=20 --no-pager {unit}")
        self.assertNotIn("/usr/local", self.machine.run(f"cat {unit}").stdout)

    def test_the_packaged_socket_holds_the_ports_and_the_server_needs_no_privilege(self):
        self.install(VERSIONS[0])
        self.deploy()
        self.assertEqual(self.machine.show("UnitFileState", "vhost.socket"), "disabled")
        self.assertEqual(self.machine.show("ActiveState", "vhost.socket"), "inactive")
        unit = "/usr/lib/systemd/system/vhost.socket"
        self.assertEqual(self.machine.run(f"systemd-analyze verify {unit}").stdout, "")
        self.machine.run("""
            mkdir -p /run/systemd/system/vhost.service.d
            printf '[Service]\\nAmbientCapabilities=\\nCapabilityBoundingSet=\\n' \
                > /run/systemd/system/vhost.service.d/local.conf
            systemctl daemon-reload
            systemctl stop vhost
            systemctl enable --quiet --now vhost.socket vhost || { journalctl --no-pager --unit vhost; false; }
        """)
        self.assertEqual(get(80, HOST), (200, PAGE), self.machine.journal())
        capabilities = self.machine.run("grep -E 'Cap(Eff|Bnd)' /proc/$(systemctl show -P MainPID vhost)/status").stdout
        self.assertEqual(set(capabilities.split()[1::2]), {"0000000000000000"}, capabilities)
        self.assertNotIn("nothing is served at this socket", self.machine.journal())
        with self.no_failures("it was upgraded, with the sockets of systemd"):
            self.install(VERSIONS[1])
        self.assertEqual(self.served_by()[0], "0.1.1")
        with self.no_failures("it was restarted", kept=False):
            self.machine.run("systemctl restart vhost")
        # The first connection starts it.
        self.machine.run("systemctl stop vhost")
        self.assertEqual(self.machine.show("ActiveState"), "inactive")
        self.assertEqual(get(80, HOST), (200, PAGE), self.machine.journal())
        self.assertEqual(self.machine.show("ActiveState"), "active")
        self.machine.run("dpkg --purge vhost")
        self.assertEqual(self.machine.run("systemctl is-active vhost.socket", check=False).stdout.strip(), "inactive")
        self.assertEqual(self.left(), (["/var/lib/vhost"], "vhost"))

    def test_manual_pages_completions_and_logrotate_are_where_programs_look(self):
        files = subprocess.check_output(["dpkg-deb", "--fsys-tarfile", DIST / package(VERSIONS[0])])
        files = subprocess.run(["tar", "--list"], input=files, stdout=subprocess.PIPE, check=True).stdout.decode()
        for path in [
            "etc/logrotate.d/vhost",
            "usr/share/bash-completion/completions/vhost",
            "usr/share/doc/vhost/copyright",
            "usr/share/doc/vhost/third-party-licences.gz",
            "usr/share/elvish/lib/vhost.elv",
            "usr/share/fish/vendor_completions.d/vhost.fish",
            "usr/share/man/man1/vhost-ctl-deploy.1.gz",
            "usr/share/man/man1/vhost.1.gz",
            "usr/share/man/man5/vhost-config.5.gz",
            "usr/share/zsh/vendor-completions/_vhost",
        ]:
            self.assertIn(f"./{path}\n", files)

    def test_the_sandbox_of_the_unit_allows_what_the_config_may_ask_for(self):
        app = Backend(b"over a Unix socket\n", self.shared / "app.sock")
        self.addCleanup(app.stop)
        (self.shared / "app.sock").chmod(0o777)
        self.install(VERSIONS[0])
        self.machine.run(f"""
            groupadd --system deploy
            mkdir -p /etc/systemd/system/vhost.service.d /etc/vhost/conf.d
            printf '[Service]\\nSupplementaryGroups=deploy\\n' > /etc/systemd/system/vhost.service.d/local.conf
            sed -i 's/^#admin_group/admin_group/' {CONFIG}
            cat > /etc/vhost/conf.d/apps.toml <<'TOML'
[[virtual_hosts]]
domain = "unix.example.com"
enabled_backends_tag = "unix"
[[virtual_hosts]]
domain = "name.example.com"
enabled_backends_tag = "name"
[[backends]]
id = "unix"
address = "unix:/run/app/app.sock"
tags = ["unix"]
[[backends]]
id = "name"
address = "localhost:{self.backend.port}"
tags = ["name"]
TOML
            cat >> {CONFIG} <<'TOML'
[logging]
output = "file"
file_path = "/var/log/pingora-proxy/proxy.log"
[access_log]
enabled = true
output = "file"
file_path = "/var/log/pingora-proxy/access.log"
TOML
            systemctl daemon-reload
            systemctl restart vhost || {{ journalctl --no-pager --unit vhost; false; }}
        """)
        self.assertEqual(get(80, "unix.example.com"), (200, b"over a Unix socket\n"))
        # The name is looked up beside the start.
        deadline = time.monotonic() + 10
        while get(80, "name.example.com") != (200, PAGE):
            self.assertLess(time.monotonic(), deadline, self.machine.journal())
            time.sleep(0.1)
        modes = self.machine.run("stat -c '%U:%G %a %n' /run/vhost/admin.sock /var/log/pingora-proxy/* /var/lib/vhost")
        self.assertEqual(modes.stdout.splitlines(), [
            "vhost:deploy 660 /run/vhost/admin.sock",
            "vhost:vhost 640 /var/log/pingora-proxy/access.log",
            "vhost:vhost 640 /var/log/pingora-proxy/proxy.log",
            "vhost:vhost 700 /var/lib/vhost",
        ])
        self.assertIn("unix.example.com", self.machine.run("cat /var/log/pingora-proxy/access.log").stdout)
        self.machine.run("systemctl reload vhost")
        self.assertEqual(get(80, "unix.example.com"), (200, b"over a Unix socket\n"))

    def test_upgrade_under_load_loses_no_request_and_keeps_the_config(self):
        with_other_config(VERSIONS[1], self.shared)
        self.install(VERSIONS[0])
        self.machine.run(f"echo '# ours' >> {CONFIG}")
        self.deploy()
        old, process = self.served_by()
        self.assertEqual(old, "0.1.0")
        with self.no_failures("dpkg ran"):
            output = self.machine.run("dpkg --force-confold --install /run/app/vhost.deb").stdout
        self.assertNotIn("could not be reloaded", output)
        new, successor = self.served_by()
        self.assertEqual(new, "0.1.1", output)
        self.assertNotEqual(successor, process)
        self.assertEqual(self.machine.show("MainPID"), str(successor))
        self.assertEqual(self.machine.run("dpkg-query -W -f '${Version}' vhost").stdout, VERSIONS[1])
        self.assertEqual(self.machine.run(f"tail -n 1 {CONFIG}").stdout, "# ours\n")
        self.assertEqual(self.machine.run(f"stat -c '%U:%G %a' {CONFIG}").stdout, "root:vhost 640\n")
        self.assertEqual(self.machine.show("ActiveState"), "active")
        self.assertEqual(get(80, HOST), (200, PAGE))
        self.machine.run("dpkg --purge vhost")
        self.assertEqual(self.left(), (["/var/lib/vhost"], "vhost"))

    def test_a_server_that_was_stopped_and_disabled_stays_so(self):
        self.install(VERSIONS[0])
        self.machine.run("systemctl disable --quiet --now vhost")
        self.install(VERSIONS[1])
        self.assertEqual(self.machine.show("ActiveState"), "inactive")
        self.assertEqual(self.machine.show("UnitFileState"), "disabled")

    def test_a_port_that_is_taken_does_not_fail_the_installation(self):
        with socket.create_server(("0.0.0.0", 80)):
            self.install(VERSIONS[0])
            self.assertNotEqual(self.machine.show("ActiveState"), "active")
            self.assertIn("0.0.0.0:80", self.machine.journal())
        self.machine.run("systemctl restart vhost")
        self.assertEqual(get(80, HOST)[0], 404)

    def left(self):
        paths = "/etc/vhost /etc/logrotate.d/vhost /var/lib/vhost /var/log/pingora-proxy /run/vhost /usr/bin/vhost"
        found = self.machine.run(f"ls -d {paths} 2> /dev/null", check=False).stdout.split()
        links = self.machine.run("find /etc/systemd /var/lib/systemd -name 'vhost*'").stdout.split()
        user = self.machine.run("getent passwd vhost", check=False).stdout.split(":")[0]
        return found + links, user

    def test_remove_keeps_what_purge_removes(self):
        self.install(VERSIONS[0])
        self.deploy()
        self.machine.run("mkdir -p /etc/vhost/conf.d && touch /etc/vhost/conf.d/shop.toml")
        self.machine.run("dpkg --remove vhost")
        self.assertEqual(self.machine.run("systemctl is-active vhost", check=False).stdout.strip(), "inactive")
        kept, _ = self.left()
        for path in ["/etc/vhost", "/etc/logrotate.d/vhost", "/var/lib/vhost", "/var/log/pingora-proxy"]:
            self.assertIn(path, kept)
        # And goes on where it was, if it is installed again.
        self.install(VERSIONS[0])
        self.assertEqual(get(80, HOST), (200, PAGE), self.machine.journal())
        self.machine.run("dpkg --purge vhost")
        self.assertEqual(self.left(), (["/var/lib/vhost"], "vhost"))
        self.assertIn("state.db", self.machine.run("ls /var/lib/vhost").stdout)

    def test_apt_installs_upgrades_and_purges_the_state_too(self):
        self.machine.run(f"apt-get install --yes /packages/{package(VERSIONS[0])}")
        self.deploy()
        self.machine.run(f"apt-get install --yes /packages/{package(VERSIONS[1])}")
        self.assertEqual(get(80, HOST), (200, PAGE))
        self.machine.run("touch /etc/vhost/ours.key")
        self.machine.run("apt-get purge --yes vhost", environment=["VHOST_PURGE_STATE=1"])
        self.assertEqual(self.left(), (["/etc/vhost"], ""))
        self.assertEqual(self.machine.run("ls -A /etc/vhost").stdout, "ours.key\n")


class DistTest(unittest.TestCase):
    def test_checksums_are_of_all_files(self):
        sums = dict(reversed(line.split("  ")) for line in (DIST / "SHA256SUMS").read_text().splitlines())
        files = {path.name: path.read_bytes() for path in DIST.iterdir() if path.name != "SHA256SUMS"}
        self.assertEqual(sums, {name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
        self.assertIn("vhost-image.tar", sums)

    def test_the_bill_of_materials_has_what_is_linked_and_nothing_of_this_machine(self):
        text = next(DIST.glob("vhost-*.cdx.json")).read_text()
        self.assertNotIn(str(machine.REPOSITORY), text)
        bill = json.loads(text)
        self.assertEqual(bill["bomFormat"], "CycloneDX")
        names = {component["name"] for component in bill["components"]}
        self.assertLessEqual({"pingora-proxy", "ring", "rusqlite", "rustls", "tikv-jemallocator"}, names)
        self.assertFalse({"criterion", "loom", "proptest"} & names)
        for component in bill["components"]:
            self.assertTrue(component.get("licenses"), component["name"])


class ImageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=machine.WORK)
        self.addCleanup(folder.cleanup)
        self.image = Image(DIST / "vhost-image.tar", folder.name)
        self.volume = pathlib.Path(folder.name) / "volume"
        # An engine gives a new volume what the image has there.
        subprocess.run(["cp", "--archive", self.image.root / "var/lib/vhost", self.volume], check=True)

    def start(self):
        container = Container(self.image, self.volume)
        self.addCleanup(container.stop)
        deadline = time.monotonic() + 30
        while (health := container.health())[0]:
            if time.monotonic() > deadline or container.process.poll() is not None:
                self.fail(f"{health}\n{container.stop()}")
            time.sleep(0.1)
        return container

    def test_the_image_serves_and_keeps_its_state_in_the_volume(self):
        self.assertEqual(self.image.config["User"], "10001:10001")
        backend = Backend(PAGE)
        self.addCleanup(backend.stop)
        container = self.start()
        self.assertEqual(get(8080, HOST)[0], 404)
        command = ["vhost", "ctl", "deploy", "shop", f"127.0.0.1:{backend.port}", "--host", HOST]
        self.assertEqual((deployed := container.run(command))[0], 0, deployed)
        self.assertEqual(get(8080, HOST), (200, PAGE))
        # A domain that its operator has paused is no reason to restart the server.
        self.assertEqual((paused := container.run(["vhost", "ctl", "domain", "pause", HOST]))[0], 0, paused)
        self.assertEqual((health := container.health())[0], 0, health)
        self.assertEqual((resumed := container.run(["vhost", "ctl", "domain", "resume", HOST]))[0], 0, resumed)
        os.kill(int(container.init()), signal.SIGSTOP)
        self.assertNotEqual(container.health()[0], 0)
        os.kill(int(container.init()), signal.SIGCONT)
        status, log = container.stop()
        self.assertEqual(status, 0, log)
        container = self.start()
        self.assertEqual(get(8080, HOST), (200, PAGE))


if __name__ == "__main__":
    machine.enter()
    result = unittest.main(verbosity=2, exit=False).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    os._exit(1 if failed or not result.testsRun else 0)
