# What the tests of the real window share: a display and a home of their own, and ways to wait. Sourced after
# `program`, the folder `shots` for screenshots (or nothing) and `name` are set.

home=$(mktemp -d)
export HOME=$home XDG_CACHE_HOME=$home/cache XDG_DATA_HOME=$home/data XDG_CONFIG_HOME=$home/config XDG_RUNTIME_DIR=$home
runs=$XDG_DATA_HOME/flowblend/runs
drafts=$XDG_DATA_HOME/flowblend/drafts

exec 3< <(exec Xvfb -noreset -displayfd 1 -screen 0 1440x900x24 2>/dev/null)
screen=$!
read -r number <&3
export DISPLAY=:$number
window=
# The timeline's stages on that screen: their left end, their width, and their middle.
track_left=328
track_width=832
track_y=712
finish() {
    [ -z "$window" ] || kill "$window" 2>/dev/null || true
    kill "$screen" 2>/dev/null || true
    rm -rf "$home"
}
trap finish EXIT

fail() { echo "$name: $1" >&2; [ -z "$shots" ] || shot failed; exit 1; }
shot() { if [ -n "$shots" ]; then import -window root "$shots/$1.png"; fi; }
# Waits up to two minutes until a command succeeds.
until_true() {
    local what=$1; shift
    for _ in $(seq 1200); do
        kill -0 "$window" 2>/dev/null || fail "the program ended while waiting for $what"
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "$what never came"
}
# There is no window manager that would give the window the keyboard.
focus() {
    local id
    id=$(xdotool search --onlyvisible --name '^flowblend$' | tail -1)
    [ -n "$id" ] && xdotool windowfocus "$id"
}
start() {
    "$program" & window=$!
    until_true "the window" focus
}
stop() {
    kill -9 "$window"
    wait "$window" 2>/dev/null || true
}
kept() { [ "$(find "$runs" -name run.json 2>/dev/null | wc -l)" -ge "$1" ]; }
newest() { find "$runs" -name run.json | sort | tail -1; }
# The first boundary in a file with settings, as a fraction of the steps.
boundary() { sed -n '/"boundaries"/{n;s/[^0-9.]//gp;}' "$1"; }
