# shellcheck shell=bash
# What .ci/run and .ci/nightly share: steps, the record of what could not be run, and tools. Sourced, not run.

export CARGO_TERM_COLOR=never

# The names of folders on this machine are not a part of what is built. All steps build with the same flags: with others,
# Cargo would build all dependencies again.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
case ${RUSTFLAGS:-} in
  *=cargo) ;;
  *)
    export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=idshift --remap-path-prefix=$cargo_home=cargo"
    export CFLAGS="${CFLAGS:-} -ffile-prefix-map=$cargo_home=cargo"
    ;;
esac

# Tools for the scripts that source this. Another release may find other things in the same sources.
# shellcheck disable=SC2034
{
  CARGO_DENY_VERSION=0.20.2
  CARGO_DEB_VERSION=3.8.0
  CARGO_FUZZ_VERSION=0.13.2
}

# Where tools of these versions are kept, so that a fresh clone on the same machine does not build them again.
ci_tools=${IDSHIFT_CI_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/idshift-ci}
ci_missing=$(mktemp)
trap 'rm -f "$ci_missing"' EXIT

# not_run WHAT: says that a check was not run, and counts it. It is neither a pass nor a failure.
not_run() {
  printf 'NOT RUN: %s\n' "$*"
  printf '%s\n' "$*" >>"$ci_missing"
}

# steps STEP… -- [SELECTED]…: runs each step (a function), or the selected ones, also after one that failed.
# The last lines say what failed and what was not run. 1: a step failed. 2: there is no step of this name.
steps() {
  local all=() name code begun passed=0 failures=() line
  while [ "$1" != -- ]; do all+=("$1"); shift; done
  shift
  for name in "$@"; do
    case " ${all[*]} " in
      *" $name "*) ;;
      *) printf '%s is not a step; the steps are: %s\n' "$name" "${all[*]}" >&2; return 2 ;;
    esac
  done
  [ "$#" -gt 0 ] || set -- "${all[@]}"
  : >"$ci_missing"
  for name in "$@"; do
    printf '\n== %s\n' "${name//_/ }"
    begun=$SECONDS
    # Not in a condition: there, the shell would go on after a command that failed.
    set +e
    (set -e; "$name")
    code=$?
    set -e
    printf '   %s s\n' $((SECONDS - begun))
    if [ "$code" = 0 ]; then passed=$((passed + 1)); else failures+=("$name"); fi
  done
  printf '\n== result\n'
  for name in "${failures[@]}"; do printf 'FAILED: %s\n' "${name//_/ }"; done
  while IFS= read -r line; do printf 'NOT RUN: %s\n' "$line"; done <"$ci_missing"
  printf 'steps: %s passed, %s failed; checks not run: %s\n' "$passed" "${#failures[@]}" "$(wc -l <"$ci_missing")"
  [ "${#failures[@]}" = 0 ]
}

# install_debian PACKAGE…: installs Debian packages; fails where that is not possible.
install_debian() {
  local root=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || return 1
    root=(sudo -n)
  fi
  { "${root[@]}" apt-get update -qq && "${root[@]}" apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1
}

# program NAME [PACKAGE]: is there, or is installed.
program() { command -v "$1" >/dev/null || { install_debian "${2:-$1}" && command -v "$1" >/dev/null; }; }

# cargo_tool NAME VERSION: has this version of a Cargo command on the path. One of another version that is installed
# already is left as it is. Without optimisation and debug information, a build takes a third of the time.
cargo_tool() {
  PATH=$ci_tools/bin:$PATH
  [ "$("$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -1)" = "$2" ] && return
  CARGO_PROFILE_DEV_DEBUG=false CARGO_TARGET_DIR=$ci_tools/build \
    cargo install --quiet --locked --debug --force --version "$2" --root "$ci_tools" "$1"
}

# optional WHAT SCRIPT: runs a script that says by exit code 77 that it could not be run here.
optional() {
  local code=0
  "$2" || code=$?
  if [ "$code" = 77 ]; then
    not_run "$1: see above"
    return 0
  fi
  return "$code"
}

# try_packages PROFILE: what is given out is built with this profile, installed, used and removed again.
try_packages() {
  if program dpkg-deb dpkg && program dpkg-shlibdeps dpkg-dev && cargo_tool cargo-deb "$CARGO_DEB_VERSION"; then
    packaging/build "$1"
    packaging/check
  else
    not_run "the packages: cargo-deb $CARGO_DEB_VERSION or Debian's tools could not be installed"
  fi
}

# toolchain NAME: this toolchain of rustup is there, or is installed.
toolchain() {
  command -v rustup >/dev/null || return 1
  rustc "+$1" --version >/dev/null 2>&1 || rustup toolchain install --profile minimal "$1"
}

# from_folder FOLDER WORK COMMAND…: runs a command for which the advisory database lies in FOLDER and not at its address.
# cargo-deny reads a database only from a Git repository with a branch `main`, so the folder is copied into one.
from_folder() {
  local database=$2/database
  mkdir -p "$database"
  cp -r "$1/crates" "$database/"
  (
    cd "$database"
    git init --quiet --initial-branch main .
    git add --all .
    git -c user.name=ci -c user.email=ci@localhost commit --quiet --message "a copy of the database"
  )
  GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$database.insteadOf" \
    GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db "${@:3}"
}

# advisories [FOLDER]: no dependency of the package in FOLDER has a known weakness. Whether the database can be fetched
# is what `cargo deny fetch` says by its exit code; from there on the exit code of the check counts.
# With the database in a folder, $IDSHIFT_ADVISORY_DB, nothing is fetched.
advisories() {
  local manifest=${1:-.}/Cargo.toml config work code=0
  config=$(realpath "${DENY_CONFIG:-deny.toml}")
  cargo_tool cargo-deny "$CARGO_DENY_VERSION" || {
    not_run "advisories: cargo-deny $CARGO_DENY_VERSION could not be installed"
    return 0
  }
  if [ -n "${IDSHIFT_ADVISORY_DB:-}" ]; then
    if [ ! -d "$IDSHIFT_ADVISORY_DB/crates" ]; then
      echo "IDSHIFT_ADVISORY_DB: $IDSHIFT_ADVISORY_DB has no folder crates; name a copy of the RustSec advisory database" >&2
      return 1
    fi
    work=$(mktemp -d)
    # Beside, and not over, the database that is fetched on other days.
    sed "s#^\[advisories\]#&\ndb-path = \"$work/fetched\"#" "$config" >"$work/deny.toml"
    from_folder "$IDSHIFT_ADVISORY_DB" "$work" cargo-deny --manifest-path "$manifest" --config "$work/deny.toml" fetch db \
      && cargo-deny --manifest-path "$manifest" --locked --offline --config "$work/deny.toml" check advisories \
      || code=$?
    rm -rf "$work"
    return "$code"
  fi
  if ! cargo-deny --manifest-path "$manifest" --config "$config" fetch db; then
    not_run "advisories: the advisory database could not be fetched; IDSHIFT_ADVISORY_DB names a copy of it"
    return 0
  fi
  cargo-deny --manifest-path "$manifest" --locked --config "$config" check advisories
}
