#!/usr/bin/env bash
# Installs the real programs that tests and benchmarks run beside batteuse, where they are missing.
#
# usage: install.sh DIR PART...
#   DIR   where what needs no system package goes (a Python environment, Node modules)
#   PART  servers   SeaweedFS, Azurite, s3rver, PostgreSQL
#         readers   DuckDB, pyarrow, Polars, DataFusion, Spark and its Java
#         peers     DuckDB, Polars, DataFusion
#
# What is there in the right version is left alone, so a second call costs nothing.
set -euo pipefail

dir=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

# A system package, if the program it brings is not there.
debian() {
    local program=$1 package=$2
    if [[ -z "$(find_program "$program")" ]]; then
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"
    fi
}

find_program() {
    command -v "$1" || compgen -G "/usr/lib/postgresql/*/bin/$1" || true
}

# Python packages of a list, in an environment of our own.
python() {
    local list=$1 stamp="$dir/python/.$1"
    if cmp -s "$here/$list.txt" "$stamp"; then return; fi
    if [[ ! -x "$dir/python/bin/pip" ]]; then
        debian python3 python3
        python3 -m venv "$dir/python" || { debian ensurepip python3-venv; python3 -m venv "$dir/python"; }
    fi
    "$dir/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/$list.txt"
    cp "$here/$list.txt" "$stamp"
}

# Node modules of package.json, without what their installation would run.
node() {
    if cmp -s "$here/package.json" "$dir/node/package.json" && [[ -e "$dir/node/.complete" ]]; then return; fi
    debian node nodejs
    debian npm npm
    mkdir -p "$dir/node"
    rm -f "$dir/node/.complete"
    cp "$here/package.json" "$dir/node/package.json"
    (cd "$dir/node" && npm install --silent --no-audit --no-fund --ignore-scripts --no-package-lock)
    touch "$dir/node/.complete"
}

for part in "$@"; do
    case $part in
    servers)
        python servers
        node
        debian postgres postgresql
        ;;
    readers)
        python peers
        python readers
        debian java default-jre-headless
        ;;
    peers) python peers ;;
    *)
        echo "install.sh: no part is named $part" >&2
        exit 2
        ;;
    esac
done
