"""Builds the image as an OCI layout in a tar file: the binary, and the few packages of Debian that it needs.

It has no shell and no package manager. Nothing here needs a daemon, or root.
"""

import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
WORK = REPOSITORY / "target/packages"
# `gcc-12-base` and `base-files` for the licences.
DEBIAN = ["base-files", "libc6", "libgcc-s1", "gcc-12-base", "ca-certificates"]
UNUSED = ["usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/info", "usr/share/bug", "usr/sbin"]
USER = 10001
PASSWD = f"root:x:0:0:root:/:/sbin/nologin\nvhost:x:{USER}:{USER}:vhost:/var/lib/vhost:/sbin/nologin\n"
GROUP = f"root:x:0:\nvhost:x:{USER}:\n"
OWN = ["run/vhost", "var/lib/vhost", "var/log/pingora-proxy"]
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


def unpack_debian(root):
    debs = WORK / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    for package in DEBIAN:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=debs, check=True, stderr=subprocess.DEVNULL)
        candidate = subprocess.check_output(["apt-cache", "show", "--no-all-versions", package], text=True)
        version = re.search(r"^Version: (.*)$", candidate, re.M)[1].replace(":", "%3a")
        (deb,) = debs.glob(f"{package}_{version}_*.deb")
        subprocess.run(["dpkg-deb", "--extract", deb, root], check=True)
        # Where scanners look for the packages of an image without dpkg.
        control = subprocess.check_output(["dpkg-deb", "--field", deb], text=True)
        status = root / "var/lib/dpkg/status.d" / package
        status.parent.mkdir(parents=True, exist_ok=True)
        status.write_text(control)
    for path in UNUSED:
        shutil.rmtree(root / path, ignore_errors=True)
    for path in (root / "usr/share/doc").glob("*/*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "copyright":
            path.unlink()
    for path in root.glob("usr/lib/*/gconv"):
        shutil.rmtree(path)


def make_root(root, stage):
    unpack_debian(root)
    for folder in ["dev", "proc", "sys", "tmp", "etc/vhost/conf.d", "etc/ssl/certs", "usr/bin", *OWN]:
        (root / folder).mkdir(parents=True, exist_ok=True)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = b"".join(path.read_bytes() for path in certificates)
    assert bundle.count(b"BEGIN CERTIFICATE") > 50, "ca-certificates has no certificates"
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(bundle)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    shutil.copy(stage / "vhost", root / "usr/bin/vhost")
    documents = root / "usr/share/doc/vhost"
    documents.mkdir()
    shutil.copy(REPOSITORY / "LICENSE", documents / "copyright")
    shutil.copy(stage / "third-party-licences.gz", documents)
    shutil.copy(REPOSITORY / "deploy/image/config.toml", root / "etc/vhost/config.toml")
    shutil.copy(REPOSITORY / "config.example.toml", root / "etc/vhost/config.example.toml")


def pack(root):
    """A tar file that depends on nothing but what is in it."""

    def normal(info):
        owned = any(info.name == path or info.name.startswith(path + "/") for path in OWN)
        info.uid = info.gid = USER if owned else 0
        info.uname = info.gname = ""
        info.mtime = EPOCH
        if not info.issym():
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        if owned:
            info.mode = 0o700
        elif info.name == "tmp":
            info.mode = 0o1777
        return info

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, path.relative_to(root).as_posix(), recursive=False, filter=normal)
    return packed.getvalue()


def seconds(text):
    """Nanoseconds, as the config of an image has them."""
    return int(text.removesuffix("s")) * 1_000_000_000


def instructions(text):
    """The config of the image, as the Containerfile says it."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    config = {"Env": [], "Labels": {}, "ExposedPorts": {}, "Volumes": {}}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, rest = line.split(None, 1)
        match name:
            case "FROM" | "ADD":
                pass
            case "LABEL":
                config["Labels"].update(pair.split("=", 1) for pair in shlex.split(rest))
            case "ENV":
                config["Env"] += shlex.split(rest)
            case "USER":
                config["User"] = rest
            case "WORKDIR":
                config["WorkingDir"] = rest
            case "STOPSIGNAL":
                config["StopSignal"] = rest
            case "EXPOSE":
                config["ExposedPorts"].update({port: {} for port in rest.split()})
            case "VOLUME":
                config["Volumes"].update({path: {} for path in json.loads(rest)})
            case "ENTRYPOINT" | "CMD":
                config[name.capitalize()] = json.loads(rest)
            case "HEALTHCHECK":
                options, command = re.split(r"\bCMD\b", rest)
                options = dict(option.removeprefix("--").split("=") for option in options.split())
                config["Healthcheck"] = {
                    "Test": ["CMD", *json.loads(command)],
                    "Interval": seconds(options["interval"]),
                    "Timeout": seconds(options["timeout"]),
                    "StartPeriod": seconds(options["start-period"]),
                    "Retries": int(options["retries"]),
                }
            case _:
                sys.exit(f"Containerfile: {name} is not known to deploy/image/build.py")
    return config


class Layout:
    """An OCI image layout: https://github.com/opencontainers/image-spec/blob/main/image-layout.md"""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def blob(self, media_type, data):
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def json(self, media_type, value):
        return self.blob(media_type, json.dumps(value, sort_keys=True).encode())

    def write(self, path):
        with tarfile.open(path, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, data in sorted(self.files.items()):
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = len(data), EPOCH, 0o644
                tar.addfile(info, io.BytesIO(data))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stage", type=pathlib.Path, required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    native = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    if arguments.arch != native:
        sys.exit(f"the image needs Debian's packages for {arguments.arch}; build it on such a machine")

    with tempfile.TemporaryDirectory() as folder:
        make_root(pathlib.Path(folder), arguments.stage)
        layer = pack(pathlib.Path(folder))
    (WORK / "image-root.tar").write_bytes(layer)

    config = instructions((REPOSITORY / "Containerfile").read_text())
    config["Labels"]["org.opencontainers.image.version"] = arguments.version
    created = datetime.datetime.fromtimestamp(EPOCH, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    layout = Layout()
    packed = layout.blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(layer, 6, mtime=0))
    image = layout.json("application/vnd.oci.image.config.v1+json", {
        "architecture": arguments.arch,
        "os": "linux",
        "created": created,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": created, "created_by": "deploy/image/build.py"}],
    })
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = layout.json(manifest_type, {
        "schemaVersion": 2, "mediaType": manifest_type, "config": image, "layers": [packed],
    })
    layout.files["index.json"] = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest | {
            "platform": {"architecture": arguments.arch, "os": "linux"},
            # The first is what `podman load` and containerd name the image by, the second is the specification's.
            "annotations": {
                "io.containerd.image.name": f"docker.io/library/vhost:{arguments.version}",
                "org.opencontainers.image.ref.name": arguments.version,
            },
        }],
    }).encode()
    layout.write(arguments.output)
    print(arguments.output)


main()
