# shellcheck shell=sh
# Shared by the scripts, which source it from the top directory: it installs packages and builds the wheel.

say() {
    printf '%s\n' "$*" >&2
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs the Debian packages that are missing. Fails with a message where that is impossible.
install_packages() {
    missing=
    for package; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "${INTERLOCK_NO_INSTALL:-}" ]; then
        say "Not installed:$missing"
        return 1
    fi
    if ! command -v apt-get >/dev/null; then
        say "Not installed, and there is no apt-get to do it:$missing"
        return 1
    fi
    say "Installing$missing"
    # The package lists may be absent or old; fetching them takes a while, so only then.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 ||
        { as_root apt-get update -qq >&2 &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >&2; } ||
        { say "Could not install$missing (needs root or sudo, and the package index)" && return 1; }
}

# Standard input to a file, which keeps its time if it does not change.
write_if_new() {
    cat >"$1.new"
    if cmp -s "$1.new" "$1"; then
        rm "$1.new"
    else
        mv "$1.new" "$1"
    fi
}

# debian_source PACKAGE DIRECTORY: fetches it with package lists of our own, since most machines have none of sources.
debian_source() (
    mkdir -p "$2/apt/lists/partial" "$2/apt/parts" && cd "$2" || return 1
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" \
        >apt/parts/source.list
    apt="apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$PWD/apt/parts -o Dir::State::lists=$PWD/apt/lists
        -o APT::Sandbox::User=root"
    $apt update && $apt --download-only source "$1"
)

# A hash of everything that the Python package is built from.
sources_hash() {
    find pyproject.toml meson.build meson_options.txt include src python -type f ! -name '*.pyc' |
        LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c 1-16
}

# Prints the path of the wheel, built with the given Python unless the sources have not changed.
wheel() {
    directory=build/wheel/$(sources_hash)
    if ! ls "$directory"/interlock-*.whl >/dev/null 2>&1; then
        command -v cc >/dev/null || command -v gcc >/dev/null || install_packages gcc libc6-dev || return 1
        say "Building the wheel"
        rm -rf build/wheel
        "$1" -m pip wheel --quiet --no-deps --wheel-dir "$directory" . >&2 || { rm -rf build/wheel; return 1; }
    fi
    ls "$directory"/interlock-*.whl
}
