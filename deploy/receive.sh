#!/bin/sh
# What a deploy key may do: it sends a release of one app as a tar file, which is deployed by deploy.sh beside this
# file. In ~deploy/.ssh/authorized_keys, in one line:
#
#   restrict,command="/usr/local/lib/vhost/receive.sh shop 3001 3002" ssh-ed25519 AAAA… github
#
# Then, where that key is:
#
#   tar --create --gzip --directory release . | ssh deploy@edge.example.com "$LABEL"
#
# The arguments are those of deploy.sh. What the client asks ssh to run is only the label of the release.
set -eu
release=${SSH_ORIGINAL_COMMAND:-}
case $release in
'' | -* | *[!A-Za-z0-9._-]*)
    echo 'error: send the label of the release as the command: letters, digits, `.`, `_` and `-`' >&2
    exit 2
    ;;
esac
RELEASE=$(mktemp -d)
export RELEASE
trap 'rm -rf "$RELEASE"' EXIT
tar --extract --gzip --no-same-owner --directory "$RELEASE" --file -
chmod 755 "$RELEASE"

: "${START:=rm -rf /srv/\$APP/\$PLACE && cp -r \$RELEASE /srv/\$APP/\$PLACE &&
    sudo systemctl enable --quiet \$APP@\$PLACE && sudo systemctl restart \$APP@\$PLACE}"
: "${STOP:=sudo systemctl disable --quiet --now \$APP@\$PLACE}"
export START STOP
"$(dirname "$0")/deploy.sh" "$@" --release "$release"
