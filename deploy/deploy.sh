#!/bin/sh
# Deploys to the tag that is not live: starts the new version there, switches, stops the old one.
#
#   START='systemctl restart "app@$tag"' STOP='systemctl stop "app@$tag"' deploy.sh example.com [REASON]
#
# The domain moves between the tags `a` and `b`; the backends are `app-a` and `app-b`. START and STOP
# are run by a shell and find the tag in $tag. With KEEP=1 the old version keeps running, so that
# `vhost ctl undo` goes back at once. The exit status is that of the first command that failed.
set -eu
: "${1:?usage: deploy.sh DOMAIN [REASON]}" "${START:?set it to what starts a version}"
: "${STOP:?set it to what stops a version}"
domain=$1
reason=${2:-deploy.sh}

stop() {
    # Refused if the backend is needed: then it keeps running.
    vhost ctl --quiet backend disable "app-$1" --wait && tag=$1 sh -c "$STOP"
}

shown=$(vhost ctl domain show "$domain" --output json)
live=$(echo "$shown" | jq --raw-output .live)
case $live in
a) idle=b ;;
b) idle=a ;;
*)
    echo "error: $domain is live on \`$live\`, neither \`a\` nor \`b\`" >&2
    exit 2
    ;;
esac

tag=$idle sh -c "$START"
vhost ctl --quiet backend ready "app-$idle"
status=0
vhost ctl switch "$domain" "$idle" --reason "$reason" || status=$?
case $status in
0) [ -n "${KEEP:-}" ] || stop "$live" ;;
6) stop "$idle" || true ;;
7) echo "note: $live still has requests and runs on; stop it later" >&2 ;;
esac
exit "$status"
