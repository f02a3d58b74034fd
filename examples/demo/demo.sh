#!/bin/sh
# Builds a real project in a sandbox that shows only what is declared, then tries three things that must not work.
#
# "make demo" runs this with bldr on PATH. DEMO=python takes the Python project where there is a C compiler too.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD

say() {
    printf '\n%s\n' "$*"
}

# Shows a command as a person would type it, and runs it.
run() {
    printf '\n$'
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9/._=,:+-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    "$@"
}

refused() {
    if run "$@"; then
        say "demo: this should have been refused" >&2
        exit 1
    fi
}

have_c_compiler() {
    [ "${DEMO:-}" != python ] && [ -x /usr/bin/cc ] && [ -x /usr/bin/make ] &&
        printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' |
        /usr/bin/cc -x c - -o /dev/null 2>/dev/null
}

# For the module in C, the Python of the toolchain needs its headers, and the program in C++ its compiler.
have_python_headers() {
    command -v c++ > /dev/null && [ -x /usr/bin/python3 ] &&
        [ -f "$(/usr/bin/python3 -I -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
}

build_c_project() {
    project=examples/tally
    say "A C project, a library with a program and a test. It sees $project and the compiler, and can write demo-out."
    run bldr run -v -i "$project" -o demo-out --cwd "$project" -- make B="$here/demo-out" check
    run sh -c 'demo-out/tally 3 < LICENSE'
}

build_python_project() {
    project=examples/tally-py
    say "No C compiler in /usr/bin, so a Python project is tested and packed. It sees $project and can write demo-out."
    python=/usr/bin/python3
    set --
    if ! [ -x "$python" ]; then
        # An interpreter outside /usr is not part of the toolchain and is declared like any other input.
        python=$(python3 -I -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
        set -- -i "$(python3 -I -c 'import sys; print(sys.base_prefix)')"
    fi
    run bldr run -v -i "$project" "$@" -o demo-out --cwd "$project" -- "$python" -B build.py "$here/demo-out"
    run sh -c 'python3 demo-out/tally.pyz 3 < LICENSE'
}

rm -rf demo-out
mkdir demo-out
if have_c_compiler; then
    build_c_project
else
    build_python_project
fi

if have_c_compiler && have_python_headers; then
    say "A library in C, a program in C++, a module for Python and a table that a script writes, from one Builderfile:"
    cp -R examples/polyglot demo-out/polyglot
    cd demo-out/polyglot
    run bldr build --cache-dir ../cache
    run bldr test --cache-dir ../cache
    run bin/describe 2 4 4 4 5 5 7 9
    cd "$here"
fi

say "A file that was not declared is not there, although it is on this disk:"
refused bldr run -i "$project" -- cat "$here/LICENSE"
say "An input cannot be changed:"
refused bldr run -i "$project" -- touch "$here/$project/new-file"
if [ -x /bin/bash ]; then
    say "There is no network:"
    refused bldr run -- bash -c 'exec 3<>/dev/tcp/192.0.2.1/80'
fi
