# shellcheck shell=sh
# Shared by the scripts, which source it from the top directory: it installs packages and builds the wheel.

say() {
    printf '%s\n' "$*" >&2
}

# Another program may be installing packages, for minutes.
APT_OPTIONS="-qq -y --no-install-recommends -o DPkg::Lock::Timeout=900"

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
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install $APT_OPTIONS $missing >/dev/null 2>&1 ||
        { as_root apt-get update -qq >&2 &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install $APT_OPTIONS $missing >&2; } ||
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

# debian_unpack SUITE ARCHITECTURE DIRECTORY PACKAGE...: packages of another release or for another architecture of Debian, with
# all that they need, unpacked and not set up.
debian_unpack() {
    suite=$1 foreign=$2 root=$3
    shift 3
    state=$root.apt
    [ "$(cat "$state/made" 2>/dev/null)" = "$*" ] && return 0
    say "Fetching $* for $foreign"
    rm -rf "$root" "$state"
    mkdir -p "$root" "$state/lists/partial" "$state/archives/partial" "$state/parts" && : >"$state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" \
        >"$state/parts/source.list"
    get="apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$state/parts -o Dir::Etc::preferencesparts=/dev/null
        -o Dir::State::lists=$state/lists -o Dir::State::status=$state/status -o Dir::Cache=$state
        -o Dir::Cache::archives=$state/archives -o APT::Architecture=$foreign -o APT::Architectures=$foreign
        -o APT::Sandbox::User=root -o Debug::NoLocking=1"
    $get update && $get -y --no-install-recommends --download-only install "$@" || return 1
    for package in "$state"/archives/*.deb; do
        dpkg -x "$package" "$root" || return 1
    done
    rm -rf "$state/archives" "$state/lists"
    echo "$*" >"$state/made"
}

# Debian 13's qemu-user, in $QEMU. With Debian 12's, a fork's child that starts a thread ends.
QEMU=$PWD/build/qemu/usr/bin
qemu_install() {
    debian_unpack trixie "$(dpkg --print-architecture)" "$PWD/build/qemu" qemu-user
}

CHECK_VERSION=0.15.2

# check_static DIRECTORY CMAKE-ARGUMENT...: Check in DIRECTORY/check from Debian's source, for programs to have it in them. Its
# tests of itself are not ours to run.
check_static() {
    check_folder=$1
    shift
    [ -e "$check_folder/check/.built" ] && return 0
    say "Building Check $CHECK_VERSION in $check_folder"
    archive=$PWD/build/downloads/check_$CHECK_VERSION.orig.tar.gz source=$check_folder/check-$CHECK_VERSION
    rm -rf "$source" "$check_folder/check" "$check_folder/check-build"
    { [ -e "$archive" ] || debian_source check "$PWD/build/downloads"; } && tar -x -f "$archive" -C "$check_folder" &&
        cmake -G Ninja -S "$source" -B "$check_folder/check-build" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
            -DCMAKE_INSTALL_PREFIX="$check_folder/check" -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
            -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF -DCHECK_ENABLE_SUBUNIT=OFF -DINSTALL_CHECKMK=OFF "$@" &&
        ninja -C "$check_folder/check-build" install &&
        sed -i 's/^Libs: .*/& -lm/' "$check_folder/check/lib/pkgconfig/check.pc" && # the static one needs it, on s390x for one
        rm -f "$check_folder"/check/lib/libcheck.so* "$check_folder"/check/lib/libcheck.dll.a \
            "$check_folder"/check/bin/libcheck.dll &&
        touch "$check_folder/check/.built"
}

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
