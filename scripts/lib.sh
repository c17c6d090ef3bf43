# Shared by the scripts: where the project is, and its virtual environment. Sourced, never run.
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$project/.venv"
unset PYTHONPATH
# Where compiled modules are not kept, each of the hundreds of programs that tests start compiles the whole of it again.
unset PYTHONDONTWRITEBYTECODE

say() { echo "$*" >&2; }

# Makes or brings up to date .venv. $1: runtime or dev (dev holds all of runtime).
ensure_venv() {
  local kind=$1 wanted stamp
  wanted=$(cat "$project/requirements/$kind.txt" "$project/pyproject.toml" "$project/clients/python/pyproject.toml" |
    sha256sum | cut -d' ' -f1)
  stamp="$venv/.installed-$kind"
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return 0
  # An environment for development serves for running too.
  [ "$kind" = runtime ] && [ -f "$venv/.installed-dev" ] && ensure_venv dev && return 0
  local python=${PYTHON:-python3}
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "Python 3.11 or newer is needed; set PYTHON to one"
    exit 2
  fi
  [ -x "$venv/bin/python" ] || { say "making .venv ..."; "$python" -m venv "$venv"; }
  say "installing ($kind) ..."
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    -r "$project/requirements/build.txt" -r "$project/requirements/$kind.txt"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    -e "$project/clients/python" -e "$project"
  echo "$wanted" > "$stamp"
}

# Installs what a folder's package-lock.json lists; without an argument the TypeScript client's development tools (stub
# generator, buf, test dependencies). Needs node and npm.
ensure_node_modules() {
  local folder="$project/${1:-clients/typescript}" wanted
  command -v npm > /dev/null || { say "node 20 and npm are needed for ${1:-the TypeScript client}"; return 1; }
  wanted=$(sha256sum "$folder/package-lock.json" | cut -d' ' -f1)
  [ -f "$folder/node_modules/.installed" ] && [ "$(cat "$folder/node_modules/.installed")" = "$wanted" ] && return 0
  say "installing (${1:-typescript}) ..."
  (cd "$folder" && npm ci --silent --no-audit --no-fund)
  echo "$wanted" > "$folder/node_modules/.installed"
}

# Which database server tests, drills and benchmarks start. $1: mariadb or mysql. Exit 3 where it cannot be had.
choose_server() {
  case "$1" in
    mariadb) ;;
    mysql) TECHAURA_MYSQLD=$("$project/scripts/mysql") || exit 3; export TECHAURA_MYSQLD ;;
    *) say "there is no server $1: mariadb or mysql"; exit 2 ;;
  esac
  export TECHAURA_TEST_SERVER=$1
}

# Takes `--server KIND` out of the arguments; what is left is in the array `arguments`.
take_server() {
  arguments=()
  while [ $# -gt 0 ]; do
    case "$1" in
      --server) choose_server "${2:?--server needs mariadb or mysql}"; shift 2 ;;
      --server=*) choose_server "${1#--server=}"; shift ;;
      *) arguments+=("$1"); shift ;;
    esac
  done
}
