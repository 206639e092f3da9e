"""A Debian machine for tests of packages: systemd in namespaces of its own, on a root made by debootstrap.

The test runs in the machine's network, so that it may use any port and nothing is in its way; `enter` is where a
test begins. What is changed in the root is gone when the machine stops.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
WORK = REPOSITORY / "target/packages"
SUITE = "bookworm"
# What the package needs, since no network is reached from inside.
INCLUDED = "adduser,ca-certificates,init-system-helpers,systemd"
ROOT = WORK / SUITE
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def enter():
    """Runs this program again in a network without anybody else."""
    if os.geteuid():
        sys.exit("tests of packages make a machine, and need root")
    if os.environ.get("VHOST_OWN_NETWORK") != "1":
        make_root()
        os.environ["VHOST_OWN_NETWORK"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def make_root():
    """The root that all machines share. It is made once, and needs Debian's archive."""
    if ROOT.exists():
        return
    WORK.mkdir(parents=True, exist_ok=True)
    made = pathlib.Path(tempfile.mkdtemp(dir=WORK))
    try:
        made.chmod(0o755)
        command = ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", SUITE, str(made)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (made / "etc/apt/sources.list").unlink()
        (made / "etc/hosts").write_text("127.0.0.1 localhost\n")
        made.rename(ROOT)
    except BaseException:
        shutil.rmtree(made)
        raise


class Machine:
    def __init__(self, binds):
        """Boots. `binds` maps folders of the machine to folders of ours, read-only."""
        base = CGROUPS if (CGROUPS / "cgroup.controllers").exists() else CGROUPS / "unified"
        # A group of its own, and nothing but cgroup2 in sight: it must not see how this machine is organised.
        self.cgroup = base / f"vhost-packages-{os.getpid()}"
        self.cgroup.mkdir(exist_ok=True)
        options = [f"--bind-ro={ours}:{theirs}" for theirs, ours in binds.items()]
        script = """set -e
            umount --recursive /sys/fs/cgroup
            mount -t cgroup2 cgroup2 /sys/fs/cgroup
            mount -t tmpfs tmpfs /run
            mount -t tmpfs tmpfs /tmp
            exec systemd-nspawn --quiet --boot --register=no --keep-unit --console=pipe --volatile=overlay "$@"
        """
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "--cgroup", "--pid", "--fork", "--kill-child",
             "--mount-proc", "sh", "-c", script, "sh", f"--directory={ROOT}", *options],
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: (self.cgroup / "cgroup.procs").write_text(str(os.getpid())),
        )
        deadline = time.monotonic() + 60
        while (state := self.state()) not in ("running", "degraded"):
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.stop()
                raise AssertionError(f"the machine did not boot: {state}")
            time.sleep(0.1)

    @staticmethod
    def child(pid):
        """The one child of a process."""
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]

    def state(self):
        try:
            return self.run("systemctl is-system-running", check=False).stdout.strip()
        except (IndexError, FileNotFoundError):
            return "no process"

    def run(self, script, check=True, environment=()):
        """Runs a script of the shell as root."""
        init = self.child(self.child(self.process.pid))
        done = subprocess.run(
            ["nsenter", "--target", init, "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd",
             "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", *environment,
             "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        )
        if check and done.returncode:
            raise AssertionError(f"{script}: exit status {done.returncode}\n{done.stdout}")
        return done

    def show(self, name, unit="vhost.service"):
        return self.run(f"systemctl show --value --property={name} {unit}").stdout.strip()

    def journal(self):
        return self.run("journalctl --no-pager --output=cat --unit=vhost", check=False).stdout

    def stop(self):
        # The end of its first process is the end of all of them.
        self.process.kill()
        self.process.wait()
        for attempt in range(100):
            folders = sorted(self.cgroup.rglob("*/"), reverse=True)
            try:
                for folder in [*folders, self.cgroup]:
                    folder.rmdir()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{self.cgroup} is still in use")
