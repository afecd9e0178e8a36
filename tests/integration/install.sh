# `make install` with DESTDIR and PREFIX puts three programs and the examples where they belong, and they run from there.
cd "$(dirname "$0")/../.." && . tests/integration/lib.sh

flavour=${ESPALIER_BIN#"$PWD/"}
case $flavour in build/asan | build/ubsan | build/tsan) san=${flavour#build/} ;; *) san= ;; esac
${MAKE:-make} -s install SAN="$san" B="$flavour" DESTDIR="$tmp/root" PREFIX=/usr >"$tmp/make.out" 2>&1 || { cat "$tmp/make.out"; fail "make install"; }
equal "programs" "espalier espalier-worker espalierd" "$(ls "$tmp/root/usr/bin" | tr '\n' ' ' | sed 's/ $//')"
[ -f "$tmp/root/usr/share/espalier/demo.yaml" ] || fail "the examples aren't installed"

PATH=/usr/bin:/bin
for p in espalier espalierd espalier-worker; do
    version=$("$tmp/root/usr/bin/$p" --version) || fail "$p --version"
    echo "$version" | grep -Eq "^$p [0-9]+\.[0-9]+\.[0-9]+" || fail "$p --version says \"$version\""
done

say "up finds its programs beside itself"
"$tmp/root/usr/bin/espalier" up --workers 1 --dir "$dir" >"$tmp/up.out" 2>&1 || { cat "$tmp/up.out"; fail "espalier up"; }
equal "worker's program" "$tmp/root/usr/bin/espalier-worker" "$(readlink "/proc/$(pid worker-1)/exe")"
PATH=$tmp/root/usr/bin:$PATH
