"""The licences of everything that is linked into vhost, which whoever gets the binary must get too.

    cargo metadata --locked --format-version 1 --filter-platform TARGET | python3 deploy/licences.py
"""

import json
import pathlib
import re
import sys

NAMES = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.I)


def linked(metadata):
    """The packages that the root needs at runtime, without itself."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    found, waiting = set(), [root]
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    packages = [package for package in metadata["packages"] if package["id"] in found - {root}]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The files about its licence, also of the C code that it has with it."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = [path for path in folder.rglob("*") if NAMES.match(path.name) and path.is_file()]
    wanted = [path for path in sorted(files) if path.suffix.lower() in ("", ".txt", ".md") or NAMES.match(path.suffix[1:])]
    return [path.read_text(errors="replace").strip() for path in wanted]


def main():
    users = {}
    print("vhost contains these packages, each under its licence. The texts are below.\n")
    for package in linked(json.load(sys.stdin)):
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license']}; {package['repository'] or 'https://crates.io/crates/' + package['name']}")
        for text in dict.fromkeys(texts(package)):
            users.setdefault(" ".join(text.split()), (text, []))[1].append(name)
    for text, names in users.values():
        print(f"\n{'-' * 80}\n{', '.join(names)}\n\n{text}")


main()
