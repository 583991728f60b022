# shellcheck shell=sh
# What a cross-build for Windows and a run under Wine need. Sourced by script/platforms/windows, after script/lib.sh.
# All functions return non-zero if they fail; what they make, they make once.

WINDOWS=$PWD/build/windows
TRIPLET=x86_64-w64-mingw32
HEADERS=/usr/$TRIPLET/include
PACKAGES="numba==0.68.1 numpy<2.2 pytest cffi colorama matplotlib tqdm" # Wine 8 has no crealf(), which newer NumPy calls

export WINEPREFIX="$WINDOWS/prefix" WINEDEBUG=-all WINEDLLOVERRIDES=winemenubuilder.exe=d

tools_install() {
    mkdir -p "$WINDOWS/downloads"
    install_packages wine wine64 gcc-mingw-w64-x86-64-win32 clang lld llvm cmake ninja-build meson \
        pkg-config dpkg-dev unzip maven python3 python3-pip ca-certificates >&2
    missing_tools=
    for tool in wine clang ld.lld llvm-ar lld-link $TRIPLET-gcc cmake ninja meson pkg-config; do
        command -v "$tool" >/dev/null || missing_tools="$missing_tools $tool"
    done
    [ -z "$missing_tools" ] || return 1
    GCC_LIBRARY=$(dirname "$($TRIPLET-gcc -print-libgcc-file-name)")
    write_if_new "$WINDOWS/cross.ini" <<INI
[binaries]
# clang would take the headers of this machine's C library; and Meson drops the option from c_args.
c = ['clang', '--target=$TRIPLET', '-nostdlibinc', '-isystem$HEADERS', '-Wno-unused-command-line-argument']
c_ld = 'lld'
ar = 'llvm-ar'
strip = 'llvm-strip'
nm = 'llvm-nm'
windres = '$TRIPLET-windres'
pkgconfig = 'pkg-config'
exe_wrapper = '$PWD/script/wine/run'
[built-in options]
c_link_args = ['-static', '-L$GCC_LIBRARY']
[properties]
pkg_config_libdir = '$WINDOWS/check/lib/pkgconfig'
needs_exe_wrapper = true
[host_machine]
system = 'windows'
cpu_family = 'x86_64'
cpu = 'x86_64'
endian = 'little'
INI
    write_if_new "$WINDOWS/toolchain.cmake" <<CMAKE
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER clang)
set(CMAKE_C_COMPILER_TARGET $TRIPLET)
set(CMAKE_C_FLAGS_INIT "-nostdlibinc -isystem $HEADERS -Wno-unused-command-line-argument")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-fuse-ld=lld -static -L$GCC_LIBRARY")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-fuse-ld=lld -static -L$GCC_LIBRARY")
set(CMAKE_AR llvm-ar)
set(CMAKE_RANLIB llvm-ranlib)
set(CMAKE_RC_COMPILER $TRIPLET-windres)
set(CMAKE_FIND_ROOT_PATH /usr/$TRIPLET)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
CMAKE
}

wine_prefix() {
    [ -e "$WINDOWS/prefix/.made" ] && return 0
    say "Making the Wine prefix"
    rm -rf "$WINDOWS/prefix"
    # The pipes: some programs of Wine fail if their output is a file.
    { timeout 300 wineboot -i </dev/null 2>&1 && timeout 120 wine winecfg -v win10 </dev/null 2>&1; } | cat >"$WINDOWS/wine.log"
    wine_wait && [ "$(script/wine/run cmd /c echo works | tr -d '\r')" = works ] && touch "$WINDOWS/prefix/.made"
}

wine_server() {
    for server in "$(command -v wineserver)" /usr/lib/wine/wineserver64 /usr/lib/wine/wineserver; do
        [ ! -x "$server" ] || break
    done
    timeout 60 "$server" "$@"
}
wine_wait() { # until its services have written the registry
    wine_server -w
}
# Keeps a program running, so that each other starts in a twentieth of a second: the first starts Wine's services.
wine_start() {
    tail -f /dev/null --pid=$$ | script/wine/run cmd >/dev/null 2>&1 &
}
wine_stop() { # the programs of this prefix alone
    [ ! -d "$WINDOWS/prefix" ] || wine_server -k >/dev/null 2>&1
}

# The artifact of each Python, from Maven Central.
artifact_of() {
    case $1 in
        3.11) echo org.bytedeco:cpython:3.11.3-1.5.9:jar:windows-x86_64 ;;
        3.13) echo org.bytedeco:cpython:3.13.5-1.5.12:jar:windows-x86_64 ;;
        *) return 1 ;;
    esac
}

# python_fetch VERSION: CPython for Windows in build/windows/python-VERSION, in the layout of its installer, and what the
# tests import.
python_fetch() {
    python=$WINDOWS/python-$1 site=$WINDOWS/python-$1/Lib/site-packages
    artifact=$(artifact_of "$1")
    if [ "$(cat "$python/.artifact" 2>/dev/null)" != "$artifact" ]; then
        say "Fetching $artifact"
        jars=$WINDOWS/downloads/python-$1
        rm -rf "$jars" "$python"
        mvn -q -B dependency:copy "-Dartifact=$artifact" "-DoutputDirectory=$jars" &&
            unzip -q -o "$jars"/*.jar 'org/bytedeco/cpython/windows-x86_64/*' -d "$jars" || return 1
        from=$jars/org/bytedeco/cpython/windows-x86_64
        mkdir -p "$python/DLLs"
        mv "$from/lib" "$python/Lib" && rm -rf "$python/Lib/site-packages" && mkdir -p "$python/Lib/site-packages" || return 1
        mv "$python"/Lib/*.pyd "$python"/Lib/*.dll "$python/DLLs/"
        mv "$from"/python*.exe "$from"/python*.dll "$python/" && mv "$python"/DLLs/vcruntime140*.dll "$python/" || return 1
        mv "$from"/*.dll "$python/DLLs/" 2>/dev/null # 3.11 has those of OpenSSL there
        rm -f "$python/DLLs/_wmi.pyd"                # Wine 8 does not end its queries
        rm -rf "$jars"
        echo "$artifact" >"$python/.artifact"
    fi
    if [ "$(cat "$python/.packages" 2>/dev/null)" != "$PACKAGES" ]; then
        say "Fetching packages for Python $1 on Windows"
        wheels=$WINDOWS/downloads/wheels-$1
        rm -rf "$wheels" "$site"
        # shellcheck disable=SC2086
        python3 -m pip download --quiet --disable-pip-version-check --only-binary=:all: --platform win_amd64 \
            --python-version "$1" --implementation cp --dest "$wheels" $PACKAGES || return 1
        for wheel in "$wheels"/*.whl; do
            unzip -q -o "$wheel" -d "$site" || return 1
        done
        rm -rf "$wheels"
        echo "$PACKAGES" >"$python/.packages"
    fi
}

# python_is_there VERSION: fetched, with its packages.
python_is_there() {
    [ "$(cat "$WINDOWS/python-$1/.artifact" 2>/dev/null)" = "$(artifact_of "$1")" ] &&
        [ "$(cat "$WINDOWS/python-$1/.packages" 2>/dev/null)" = "$PACKAGES" ]
}

# library_build LOG [TEST...]: the library and all of its tests, or those, in build/windows/library.
library_build() {
    directory=$WINDOWS/library log=$1
    shift
    [ $# = 0 ] || set -- src/libinterlock-0.dll $(printf 'test/test_%s.exe ' "$@")
    {
        if [ ! -e "$directory/build.ninja" ] || ! cmp -s "$WINDOWS/cross.ini" "$directory/cross.ini"; then
            rm -rf "$directory"
            meson setup "$directory" --cross-file "$WINDOWS/cross.ini" -Dwerror=true -Dtests=enabled -Dfaults=false -Djitter=false &&
                cp "$WINDOWS/cross.ini" "$directory/"
        fi && ninja --quiet -C "$directory" "$@"
    } >"$log" 2>&1
}

# What builds the wheel.
build_env() {
    env=$WINDOWS/build-env
    [ -e "$env/.made" ] && return 0
    { python3 -m venv "$env" || { install_packages python3-venv && python3 -m venv "$env"; }; } &&
        "$env/bin/python" -m pip install --quiet 'meson-python>=0.18' meson ninja && touch "$env/.made"
}

# wheel_build LOG: the wheel for Windows, in build/windows/wheel/HASH.
wheel_build() {
    wheels=$WINDOWS/wheel/$(sources_hash)
    ls "$wheels"/*.whl >/dev/null 2>&1 && return 0
    {
        say "Building the wheel for Windows" && rm -rf "$WINDOWS/wheel" "$WINDOWS/wheel-build" &&
            _PYTHON_HOST_PLATFORM=win-amd64 PATH=$env/bin:$PATH "$env/bin/python" -m pip wheel --no-deps --no-build-isolation \
                --wheel-dir "$wheels" . -Csetup-args=--cross-file="$WINDOWS/cross.ini" -Cbuild-dir="$WINDOWS/wheel-build"
    } >"$1" 2>&1
}

# package_install PYTHON-DIRECTORY: unpacks the wheel. Its folders are those that pip would make.
package_install() {
    site=$1/Lib/site-packages
    wheel=$(ls "$wheels"/*.whl)
    [ "$(cat "$1/.wheel" 2>/dev/null)" != "$wheel" ] || return 0
    rm -rf "$site"/interlock "$site"/interlock-* "$site"/.interlock.mesonpy.libs
    unzip -q -o "$wheel" -d "$site" && cp -a "$site"/interlock-*.data/purelib/. "$site/" && rm -rf "$site"/interlock-*.data &&
        echo "$wheel" >"$1/.wheel"
}
