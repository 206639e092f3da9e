#!/usr/bin/env bash
# Makes what is released, in dist/. `./dev dist` runs it, and installs what it needs first.
#
#   deploy/dist.sh [--arch amd64|arm64] [--profile dist|dev] [--version VERSION] [--out DIR] [PART...]
#
# PART is deb, image, static, sbom or sums; without any, all of them that there are for this architecture.
set -euo pipefail
cd "$(dirname "$0")/.."

arch=$(dpkg --print-architecture) profile=dist version= out=dist parts=()
while (($#)); do
    case $1 in
    --arch) arch=$2 && shift ;;
    --profile) profile=$2 && shift ;;
    --version) version=$2 && shift ;;
    --out) out=$2 && shift ;;
    deb | image | static | sbom | sums) parts+=("$1") ;;
    *)
        echo "dist: unknown argument: $1" >&2
        exit 2
        ;;
    esac
    shift
done
[[ $version ]] || version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)

case $arch in
amd64) machine=x86_64 ;;
arm64) machine=aarch64 ;;
*)
    echo "dist: no such architecture: $arch" >&2
    exit 2
    ;;
esac
native=$("${RUSTC:-rustc}" --version --verbose | sed -n 's/^host: //p')
triple=$machine-unknown-linux-gnu
if ((!${#parts[@]})); then
    # Other architectures' packages of Debian, and musl's compilers for them, are not at hand.
    if [[ $triple == "$native" ]]; then parts=(deb image static sbom sums); else parts=(deb sbom sums); fi
fi
# What cargo-deb puts into the package is staged here, for one architecture at a time.
stage=target/packages/stage
mkdir -p "$out" "$stage"

# Compiles for a target, and puts the binary at a path. Names of functions stay in it, for profiles.
compile() {
    local target=$1 to=$2 folder=${CARGO_TARGET_DIR:-target} options=() strip=strip name=${1^^}
    if [[ $target != "$native" ]]; then
        options=(--target "$target") folder+=/$target
        [[ -d $("${RUSTC:-rustc}" --print target-libdir --target "$target") ]] || rustup target add "$target"
        case $target in
        *-musl) export "CC_${target//-/_}=musl-gcc" ;;
        *)
            export "CARGO_TARGET_${name//-/_}_LINKER=$machine-linux-gnu-gcc"
            strip=$machine-linux-gnu-strip
            ;;
        esac
    fi
    cargo build --locked --profile "$profile" --bin vhost "${options[@]}"
    "$strip" --strip-debug -o "$to" "$folder/${profile/#dev/debug}/vhost"
}

make_deb() {
    # The unit says where `install` puts the binary; packages have it in /usr/bin.
    sed 's|/usr/local/bin/|/usr/bin/|' deploy/vhost.service >"$stage/vhost.service"
    local options=()
    [[ $triple == "$native" ]] || options+=(--target "$triple")
    [[ $profile == dist ]] || options+=(--fast)
    cargo deb --no-build --no-strip --no-dbgsym --quiet "${options[@]}" --deb-version "$version" --output \
        "$out/vhost_${version}_$arch.deb"
}

# A binary that runs on any Linux, with what belongs to it.
make_static() {
    local name=vhost-$version-linux-$arch folder
    folder=$(mktemp -d)
    mkdir "$folder/$name"
    cp "$stage/vhost-static" "$folder/$name/vhost"
    cp -r man completions deploy/vhost.service deploy/vhost.socket deploy/vhost.logrotate deploy/config.toml \
        config.example.toml README.md CHANGELOG.md LICENSE "$stage/third-party-licences" "$folder/$name/"
    chmod -R u=rwX,go=rX "$folder/$name"
    tar --create --directory "$folder" --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" "$name" | gzip --no-name -9 >"$out/$name.tar.gz"
    rm -r "$folder"
    echo "$out/$name.tar.gz"
}

make_image() {
    python3 deploy/image/build.py --stage "$stage" --arch "$arch" --version "$version" \
        --output "$out/vhost-image.tar"
}

make_sbom() {
    # It writes beside each Cargo.toml of the workspace; the one of the binary has all of it.
    cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$triple" --no-build-deps \
        --override-filename vhost.cdx
    rm crates/*/vhost.cdx.json
    sed "s|path+file://$PWD|path+file:///vhost|g" vhost.cdx.json >"$out/vhost-$version-$arch.cdx.json"
    rm vhost.cdx.json
    echo "$out/vhost-$version-$arch.cdx.json"
}

make_sums() {
    local sums
    sums=$(cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum)
    echo "$sums" >"$out/SHA256SUMS"
    echo "$out/SHA256SUMS"
}

if [[ " ${parts[*]} " =~ \ (deb|image|static)\  ]]; then
    cargo metadata --locked --format-version 1 --filter-platform "$triple" |
        python3 deploy/licences.py >"$stage/third-party-licences"
    gzip --no-name -9 --keep --force "$stage/third-party-licences"
fi
[[ ! " ${parts[*]} " =~ \ (deb|image)\  ]] || compile "$triple" "$stage/vhost"
[[ ! " ${parts[*]} " =~ \ static\  ]] || compile "$machine-unknown-linux-musl" "$stage/vhost-static"
# What is packed from one commit is the same, whenever that happens. Not for the compiler: crates in C would be
# compiled again after each commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
for part in "${parts[@]}"; do "make_$part"; done
