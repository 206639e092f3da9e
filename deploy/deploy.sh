#!/bin/sh
# Deploys an app that has two places on this machine, `a` and `b`, each with a port: starts the new version in
# the place that is not live, makes it live, and stops the old version once its requests have ended.
#
#   START='systemctl restart $APP@$PLACE' STOP='systemctl stop $APP@$PLACE' \
#       deploy.sh APP PORT_A PORT_B [OPTION…]
#
# START and STOP are run by a shell, with APP, PLACE (`a` or `b`) and PORT. The options are those of `vhost ctl
# deploy`, such as `--release v42`; the first deploy of an app needs `--host`. With KEEP=1 the old version runs on,
# so that `vhost ctl undo APP` goes back at once. The exit status is that of the first command that failed.
set -eu
usage='usage: deploy.sh APP PORT_A PORT_B [OPTION…]'
APP=${1:?$usage} port_a=${2:?$usage} port_b=${3:?$usage}
shift 3
: "${START:?set it to what starts a version}" "${STOP:?set it to what stops a version}"
export APP

# Two of them would use the same place.
exec 9< "$0"
flock 9

in_place() {
    PLACE=$1
    if [ "$PLACE" = a ]; then PORT=$port_a; else PORT=$port_b; fi
    export PLACE PORT
    sh -c "$2" 9<&-
}

# Unknown (exit status 4) is an app that was never deployed. Other errors end this.
status=0
shown=$(vhost ctl app show "$APP" --output json 2> /dev/null) || status=$?
case $status in
0) live=$(echo "$shown" | jq --raw-output 'first(.versions[] | select(.live_domains > 0).tag) // "none"') ;;
4) live=none ;;
*) vhost ctl app show "$APP" > /dev/null ;;
esac
case $live in
a) idle=b ;;
b | none) idle=a ;;
*)
    echo "error: $APP is live on the tag \`$live\`, neither \`a\` nor \`b\`" >&2
    exit 2
    ;;
esac

in_place "$idle" "$START"
# Without a stand-by that runs, there must be none to go back to.
[ -n "${KEEP:-}" ] || set -- --keep 0 "$@"
status=0
vhost ctl deploy "$APP" "localhost:$PORT" --tag "$idle" "$@" || status=$?
case $status in
0) [ "$live" = none ] || [ -n "${KEEP:-}" ] || in_place "$live" "$STOP" ;;
# Refused before anything has changed.
2 | 4 | 6) in_place "$idle" "$STOP" || true ;;
7) echo "note: $APP@$live still has requests and runs on; stop it later" >&2 ;;
*) echo "note: $APP@$idle runs on; see \`vhost ctl history\`" >&2 ;;
esac
exit "$status"
