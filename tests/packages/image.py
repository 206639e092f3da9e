"""The image, unpacked and run without a container engine, as strictly as one runs it."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import tarfile

import machine

class Image:
    def __init__(self, path, folder):
        """Unpacks an OCI layout, and checks each digest on the way."""
        with tarfile.open(path) as tar:
            self.files = {entry.name: tar.extractfile(entry).read() for entry in tar.getmembers()}
        assert json.loads(self.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        (found,) = json.loads(self.files["index.json"])["manifests"]
        manifest = json.loads(self.blob(found))
        document = json.loads(self.blob(manifest["config"]))
        self.config = document["config"]
        self.root = pathlib.Path(folder) / "root"
        self.root.mkdir()
        for layer, diff in zip(manifest["layers"], document["rootfs"]["diff_ids"], strict=True):
            packed = self.root.parent / "layer"
            packed.write_bytes(self.blob(layer))
            plain = subprocess.check_output(["gzip", "--decompress", "--stdout", str(packed)])
            assert f"sha256:{hashlib.sha256(plain).hexdigest()}" == diff
            command = ["tar", "--extract", "--numeric-owner", "--same-permissions", "--directory", str(self.root)]
            subprocess.run(command, input=plain, check=True)

    def blob(self, descriptor):
        data = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert len(data) == descriptor["size"]
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
        return data


class Container:
    def __init__(self, image, volume):
        self.image = image
        self.user, self.group = image.config["User"].split(":")
        # A root that can't be written to, and a volume; the rest is what engines mount.
        script = """set -e
            root=$1 volume=$2 owner=$3
            shift 3
            mount --bind "$root" "$root"
            mount --bind "$volume" "$root/var/lib/vhost"
            mount --rbind /dev "$root/dev"
            mount -t proc proc "$root/proc"
            mount -t tmpfs -o "mode=700,$owner" tmpfs "$root/run/vhost"
            mount -o remount,bind,ro "$root"
            exec "$@"
        """
        owner = f"uid={self.user},gid={self.group}"
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
             "sh", "-c", script, "sh", str(image.root), str(volume), owner,
             *self.inside(image.config["Entrypoint"] + image.config["Cmd"])],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def inside(self, command):
        """A command as an engine runs it: as the user of the image, with its environment and without privileges."""
        config = self.image.config
        return ["env", "-i", *config["Env"], "setpriv", "--no-new-privs", "unshare", f"--root={self.image.root}",
                f"--wd={config['WorkingDir']}", f"--setgid={self.group}", f"--setuid={self.user}", *command]

    def init(self):
        return machine.Machine.child(self.process.pid)

    def run(self, command, within=60):
        """`docker exec`: the exit status, and the output. As a health check, it is ended after some seconds."""
        done = subprocess.run(
            ["timeout", "--signal=KILL", str(within),
             "nsenter", "--target", self.init(), "--mount", "--pid", "--ipc", "--uts", *self.inside(command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        return done.returncode, done.stdout

    def health(self):
        check = self.image.config["Healthcheck"]
        kind, *command = check["Test"]
        assert kind == "CMD"
        try:
            return self.run(command, within=check["Timeout"] / 1_000_000_000)
        except (IndexError, FileNotFoundError):
            return 1, "no process"

    def stop(self):
        """`docker stop`: the exit status, and the log."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(int(self.init()), getattr(signal, self.image.config["StopSignal"]))
        log, _ = self.process.communicate(timeout=60)
        return self.process.returncode, log
