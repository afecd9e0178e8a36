# What the integration tests share; each begins with
#
#   cd "$(dirname "$0")/../.." && . tests/integration/lib.sh
#
# and then has $tmp, a folder that goes away with the test, the programs in PATH, and `cleanup` at its end, which stops
# what is still up and fails the test when a process of it is left. A test ends with 0: passed, 77: skipped, else: failed.
set -eu

ESPALIER_BIN=${ESPALIER_BIN:-$PWD/build/release}
PATH=$ESPALIER_BIN:$PATH
export PATH
unset ESPALIER_URL
# Numbers are compared between workers and runs, so the threads of each are fixed, not the machine's share.
THREADS=1

tmp=$(mktemp -d "${TMPDIR:-/tmp}/espalier-test-XXXXXX")
chmod 755 "$tmp" # the database's user must get in
dir=$tmp/up      # the cluster that `e` and `up` speak of

say() { echo "-- $*"; }
fail() {
    echo "FAILED: $*"
    exit 1
}
skip() {
    echo "$*"
    exit 77
}

e() { espalier --dir "$dir" "$@"; }
up() { e up --threads "$THREADS" "$@" >"$tmp/up.out" 2>&1 || { cat "$tmp/up.out"; fail "espalier up $*"; }; }
sql() { psql -XAtq -h "$(cat "$dir/run/socket")" -p 5432 -U espalier -d espalier -c "$1"; }

# equal WHAT EXPECTED GOT
equal() { [ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""; }

# Whether the process is there; a zombie isn't.
alive() {
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) && [ -n "$state" ] && [ "$state" != Z ]
}

# await SECONDS COMMAND...: until it is true
await() {
    tries=$(($1 * 10))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

gone() { ! alive "$1"; }
pid() { sed -n '1s/[^0-9].*//p' "$dir/run/$1.pid"; } # of espalierd, worker-1, postgresql ...
state_of() { sql "select state from espalier.searches where id = $1"; }
is_in() { [ "$(state_of "$1")" = "$2" ]; }
evaluated() { sql "select count(*) from espalier.results where search = $1"; }
has_evaluated() { [ "$(evaluated "$1")" -ge "$2" ]; }

# start SPEC [OPTION]...: prints the id
start() { e search start "$@" 2>"$tmp/start.err" | tail -n 1 || { cat "$tmp/start.err" >&2; return 1; }; }

# finish ID SECONDS: waits until the search is done
finish() {
    await "$2" over "$1" || fail "search $1 is \"$(state_of "$1")\" after $2 s, $(evaluated "$1") evaluated"
    equal "state of search $1" done "$(state_of "$1")"
}
over() { case $(state_of "$1") in done | failed | cancelled) ;; *) false ;; esac; }

# A small network, trained once and kept beside the programs.
model() {
    net=$ESPALIER_BIN/tests/net.onnx
    [ -s "$net" ] || {
        mkdir -p "$ESPALIER_BIN/tests"
        "$ESPALIER_BIN/tests/tools/net" -o "$tmp/untrained.onnx"
        cat >"$tmp/net.yaml" <<EOF
spec_version: 1
name: net
model: untrained.onnx
data: {kind: synthetic}
normalize: {mean: [127.5, 127.5, 127.5], std: [54, 54, 54]}
train: {epochs: 3, batch: 64, lr: 0.1, warmup: 0.5, augment: {pad: 0, flip: false}}
EOF
        espalier train "$tmp/net.yaml" -o "$tmp/net.onnx" >"$tmp/train.out" 2>&1 || { cat "$tmp/train.out"; fail "espalier train"; }
        mv "$tmp/net.onnx" "$net"
    }
    cp "$net" "$tmp/demo.onnx"
}

# spec REWARD CALIBRATE EPISODES: a small search on stdout; the policy learns from episode 6 on
spec() {
    cat <<EOF
spec_version: 1
name: small
seed: 1
model: demo.onnx
data: {kind: synthetic}
normalize: {mean: [127.5, 127.5, 127.5], std: [54, 54, 54]}
split: {reward: $1, calibrate: $2}
budgets: {flops: [0.4, 0.7]}
search: {policy: ddpg, episodes: $3, warmup: 6, lookahead: 8}
finish: {top: 1}
EOF
}

# Processes that have something to do with the folder: by their command line, or because they stand in it.
inhabitants() {
    echo "$1" | grep -laF -f - /proc/[0-9]*/cmdline 2>/dev/null | sed 's,^/proc/\([0-9]*\)/.*,\1,'
    find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$1*" -printf '%h\n' 2>/dev/null | sed 's,^/proc/,,'
}

cleanup() {
    rc=$?
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    cd / # not to be found among those who stand in $tmp
    if [ $rc != 0 ] && [ $rc != 77 ]; then
        for f in "$tmp"/*/log/*.log; do [ -s "$f" ] && echo "== $f" && tail -n 15 "$f"; done
    fi
    for d in "$tmp"/*/run; do
        [ -d "$d" ] || continue
        espalier down --dir "${d%/run}" >"$tmp/down.out" 2>&1 || { cat "$tmp/down.out"; rc=1; }
        elsewhere=$(cat "$d/pg" 2>/dev/null)
        case $elsewhere in /var/lib/espalier/?*) rm -rf "$elsewhere" ;; esac
    done
    left=$(inhabitants "$tmp" | sort -u)
    for p in $left; do
        echo "FAILED: process $p is left: $(tr '\0' ' ' <"/proc/$p/cmdline")"
        kill -9 "$p"
        rc=1
    done
    rm -rf "$tmp"
    exit $rc
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
