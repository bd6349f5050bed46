#!/bin/sh
# Installs the packages of the folder that it lies in, with no network:
#
#   sh unpack.sh [PYTHON [PIP OPTION ...]]        such as: sh unpack.sh .venv/bin/python --no-compile
#
# Checks every part, joins them, and has pip install what requirements.txt names from them alone. What is installed
# already and will do stays. A package that comes as sources is built here (pycuda: a C++ compiler and CUDA's headers).
# Each is installed by itself: one that can't be leaves the others. Exit code 0 all, 1 not all, 2 nothing.
set -eu

fail() {
    echo "unpack.sh: error: $1" >&2
    exit 2
}

links() { # whether the linker finds the library $1 in CUDA's folders or its own
    echo 'int main(void) { return 0; }' |
        cc -x c - -o "$folder/linked" -L"$cuda/lib64" -L"$cuda/lib" -L"$cuda/lib64/stubs" -L"$cuda/lib/stubs" "-l$1" \
            2>"$folder/linker.log"
}

# pycuda is built against the CUDA that the first nvcc belongs to, which may be a script that calls another. Where only
# the driver has its library, an empty one stands in for it while linking, as the stubs of CUDA's own installer do.
# cuRAND, which nothing here uses, is left out where it can't be linked.
for_pycuda() {
    command -v nvcc >/dev/null || return 0
    bin=$(nvcc --dryrun x.cu 2>&1 | sed -n 's/^#\$ _HERE_=//p')
    [ -n "$bin" ] || return 0
    cuda=$(dirname -- "$bin")
    export PATH="$bin:$PATH"
    mkdir "$folder/home" "$folder/stubs"
    if ! links cuda; then
        cc -x c /dev/null -shared -Wl,-soname,libcuda.so.1 -o "$folder/stubs/libcuda.so"
        export LIBRARY_PATH="$folder/stubs${LIBRARY_PATH:+:$LIBRARY_PATH}"
        export LDFLAGS="-Wl,--no-as-needed${LDFLAGS:+ $LDFLAGS}" # an empty library looks unneeded to the linker
    fi
    if ! links curand; then
        echo 'CUDA_ENABLE_CURAND = False' >"$folder/home/.aksetup-defaults.py" # read from there by pycuda's setup.py
        export HOME="$folder/home"
    fi
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${1:-python3}
[ $# -eq 0 ] || shift

"$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip: name a Python that has"
[ -f "$here/SHA256SUMS" ] || fail "SHA256SUMS is missing: the pack was cut short, or not all of it was copied"
(cd -- "$here" && sha256sum --check --strict --quiet SHA256SUMS) || fail "a file is missing or damaged: copy it again"
wanted=$(sed -n 's/^# python //p' "$here/requirements.txt")
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$found" = "$wanted" ] || fail "these packages are for Python $wanted, $python is $found: name another, or pack again"

folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 130' INT TERM
mkdir "$folder/packages"
parts=$(sed -n 's/^[0-9a-f]*  \(pack\.tar\.[0-9]*\)$/\1/p' "$here/SHA256SUMS" | sort -t . -k 3n)
# shellcheck disable=SC2086  # names without spaces, by the pattern above
(cd -- "$here" && cat $parts) | tar -x -C "$folder/packages"

case " $* " in
*" --target"* | *" -t "*) ;; # nothing that is installed is touched
*)
    # Both put their files into the folder onnxruntime: whichever came last would win, half.
    if ls "$folder/packages" | grep -q '^onnxruntime_gpu-' && "$python" -m pip show --quiet onnxruntime 2>/dev/null; then
        echo "unpack.sh: onnxruntime is removed: onnxruntime-gpu has the same files" >&2
        "$python" -m pip uninstall --yes --quiet onnxruntime
    fi
    ;;
esac

missing=
for package in $(grep -v '^#' "$here/requirements.txt"); do
    if ! (
        case $package in pycuda*) for_pycuda ;; esac
        "$python" -m pip install --no-index --find-links "$folder/packages" --disable-pip-version-check "$@" "$package"
    ); then
        missing="$missing $package"
    fi
done
[ -z "$missing" ] || {
    echo "unpack.sh: error: not installed, for the reasons above:$missing" >&2
    exit 1
}
