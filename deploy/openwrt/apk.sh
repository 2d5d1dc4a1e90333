#!/bin/sh
# Makes a package for apk (OpenWrt 25.12 and newer) of one for opkg: apk.sh FILE.ipk FILE.apk
# Needs `apk` 3, which OpenWrt's SDK has in staging_dir/host/bin, and, unless it is root, `fakeroot`.
set -eu

[ $# -eq 2 ] || {
	echo "usage: $0 FILE.ipk FILE.apk" >&2
	exit 2
}
# Whoever owns a file here owns it on the access point.
[ "$(id -u)" = 0 ] || exec fakeroot "$0" "$@"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
tree="$work/tree" scripts="$work/scripts" known="$work/tree/lib/apk/packages"
mkdir "$tree" "$scripts"
tar -xzf "$1" -C "$work"
tar -xzf "$work/data.tar.gz" -C "$tree"
tar -xzf "$work/control.tar.gz" -C "$scripts"

field() {
	sed -n "s/^$1: //p" "$scripts/control"
}
name="$(field Package)"

# OpenWrt finds by the first what is to be started, and by the others what sysupgrade keeps.
mkdir -p "$known"
(cd "$tree" && find . -type f | sed 's/^\.//' | sort) >"$work/list"
while read -r file; do
	echo "$file $(sha256sum <"$tree$file" | cut -d ' ' -f 1)"
done <"$scripts/conffiles" >"$known/$name.conffiles_static"
cp "$scripts/conffiles" "$known/$name.conffiles"
mv "$work/list" "$known/$name.list"

# Where it is installed already, somebody may have disabled it; and the old one runs until it is told to end.
{
	echo '#!/bin/sh'
	echo 'export PKG_UPGRADE=1'
	tail -n +2 "$scripts/postinst"
	echo "[ -n \"\${IPKG_INSTROOT}\" ] || /etc/init.d/$name restart"
} >"$scripts/post-upgrade"
chmod 755 "$scripts/post-upgrade"

apk mkpkg \
	--info "name:$name" \
	--info "version:$(field Version)" \
	--info "description:$(field Description)" \
	--info "arch:$(field Architecture)" \
	--info "license:$(field License)" \
	--info "maintainer:$(field Maintainer)" \
	--script "post-install:$scripts/postinst" \
	--script "post-upgrade:$scripts/post-upgrade" \
	--script "pre-deinstall:$scripts/prerm" \
	--files "$tree" \
	--output "$2"
