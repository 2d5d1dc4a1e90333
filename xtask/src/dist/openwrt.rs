//! Packages for opkg (OpenWrt up to 24.10): a gzipped tar of three files.

use super::archive::{Gzip, Tree};
use crate::workspace::{files_of, root};
use anyhow::{Context, Result};

/// The pattern of OpenWrt's own build: the init script is enabled, and started where it may. The name is
/// said for apk, from whose scripts it cannot be told: `deploy/openwrt/apk.sh` takes them from here.
const POSTINST: &str = "#!/bin/sh
[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0
[ -s \"${IPKG_INSTROOT}/lib/functions.sh\" ] || exit 0
. \"${IPKG_INSTROOT}/lib/functions.sh\"
export pkgname=umbrella
default_postinst \"$0\" \"$@\"
";
const PRERM: &str = "#!/bin/sh
[ -s \"${IPKG_INSTROOT}/lib/functions.sh\" ] || exit 0
. \"${IPKG_INSTROOT}/lib/functions.sh\"
export pkgname=umbrella
default_prerm \"$0\" \"$@\"
";

/// What is installed: the binary and `deploy/openwrt/files`. Modes are said here, since a checkout
/// does not keep them.
pub(crate) fn contents(binary: &[u8], licences: &str, gzip: Gzip) -> Result<Tree> {
    let from = root().join("deploy/openwrt/files");
    let mut tree = Tree::default();
    for file in files_of(&from)? {
        let path = file.strip_prefix(&from)?.to_string_lossy().into_owned();
        let mode = match path.as_str() {
            path if path.starts_with("etc/init.d/") => 0o755,
            path if path.starts_with("etc/config/") => 0o600,
            _ => 0o644,
        };
        let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        tree.add(path, mode, bytes);
    }
    tree.add("usr/bin/umbrella", 0o755, binary);
    let mut third = Tree::default();
    third.add("THIRD-PARTY-LICENSES.txt", 0o644, licences);
    let packed = third.pack("", 0, gzip)?;
    tree.add("usr/share/umbrella/licenses.tar.gz", 0o644, packed);
    Ok(tree)
}

/// What the packages of all of OpenWrt's architectures have in common.
pub(crate) struct Data {
    /// What the files hold, in bytes.
    size: usize,
    packed: Vec<u8>,
    gzip: Gzip,
    time: u64,
}

impl Data {
    /// Packs the contents. `time` is that of all files, in seconds since 1970.
    pub(crate) fn new(contents: &Tree, time: u64, gzip: Gzip) -> Result<Data> {
        Ok(Data {
            size: contents.size(),
            packed: contents.pack("./", time, gzip)?,
            gzip,
            time,
        })
    }

    /// A package for one architecture.
    pub(crate) fn ipk(&self, architecture: &str) -> Result<Vec<u8>> {
        let version = env!("CARGO_PKG_VERSION");
        let mut control = Tree::default();
        let text = format!(
            "Package: umbrella\nVersion: {version}-r1\nSection: net\nPriority: optional\n\
             Architecture: {architecture}\nInstalled-Size: {}\nLicense: MIT OR Apache-2.0\n\
             Maintainer: The Umbrella authors <umbrella@localhost>\n\
             Description: Video rooms, cameras, and links between sites in one binary\n",
            self.size
        );
        control.add("control", 0o644, text);
        control.add("conffiles", 0o644, "/etc/config/umbrella\n");
        control.add("postinst", 0o755, POSTINST);
        control.add("prerm", 0o755, PRERM);
        let control = control.pack("./", self.time, self.gzip)?;
        let mut outer = Tree::default();
        outer.add("debian-binary", 0o644, "2.0\n");
        outer.add("control.tar.gz", 0o644, control);
        outer.add("data.tar.gz", 0o644, self.packed.as_slice());
        // Nearly all of it is packed already.
        outer.pack("./", self.time, Gzip::Quick)
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::unpack;
    use super::*;
    use sha2::{Digest as _, Sha256};
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn a_package_is_refused_or_its_service_does_not_start() {
        let build = || {
            let tree = contents(b"binary", "licences", Gzip::Small).unwrap();
            let data = Data::new(&tree, 7, Gzip::Small).unwrap();
            data.ipk("aarch64_cortex-a53").unwrap()
        };
        let package = build();
        assert_eq!(package, build());
        let outer = unpack(&package);
        let names: Vec<_> = outer.iter().map(|entry| entry.0.as_str()).collect();
        assert_eq!(
            names,
            ["./control.tar.gz", "./data.tar.gz", "./debian-binary"]
        );
        let modes = |packed: &[u8]| {
            let entries = unpack(packed).into_iter();
            let files = entries.filter(|entry| !entry.0.ends_with('/'));
            files
                .map(|(name, mode, owner, time, _)| {
                    assert_eq!((owner, time), ((0, 0), 7), "{name}");
                    format!("{mode:o} {name}")
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            modes(&outer[0].4),
            [
                "644 ./conffiles",
                "644 ./control",
                "755 ./postinst",
                "755 ./prerm"
            ]
        );
        assert_eq!(
            modes(&outer[1].4),
            [
                "600 ./etc/config/umbrella",
                "755 ./etc/init.d/umbrella",
                "644 ./etc/profile.d/umbrella.sh",
                "644 ./lib/upgrade/keep.d/umbrella",
                "755 ./usr/bin/umbrella",
                "644 ./usr/share/umbrella/licenses.tar.gz",
            ]
        );
        let control = unpack(&outer[0].4);
        assert_eq!(control[0].4, b"/etc/config/umbrella\n");
        let text = String::from_utf8_lossy(&control[1].4).into_owned();
        assert!(
            text.contains("\nArchitecture: aarch64_cortex-a53\n"),
            "{text}"
        );
    }

    #[test]
    fn a_path_of_the_building_machine_is_in_a_package() {
        let host = root().to_string_lossy().into_owned();
        let tree = contents(b"", "", Gzip::Quick).unwrap();
        for (name, _, _, _, bytes) in unpack(&tree.pack("./", 0, Gzip::Quick).unwrap()) {
            assert!(!String::from_utf8_lossy(&bytes).contains(&host), "{name}");
        }
    }

    /// In the place of `apk`: keeps what it is given beside itself.
    const APK: &str = "#!/bin/sh
here=\"$(dirname \"$0\")\"
printf '%s\\n' \"$@\" >\"$here/words\"
while [ $# -gt 0 ]; do
  case $1 in
  --files) cp -a \"$2\" \"$here/tree\" ;;
  --script) cp \"${2#*:}\" \"$here/${2%%:*}\" ;;
  esac
  shift
done
";

    /// In the place of OpenWrt's functions: who was installed or is removed, and whether anew.
    const FUNCTIONS: &str = "
default_postinst() { echo \"$pkgname ${PKG_UPGRADE:-0}\"; }
default_prerm() { echo \"$pkgname\"; }
";

    fn script(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_package_for_apk_is_installed_and_its_service_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let contents = contents(b"binary", "licences", Gzip::Quick).unwrap();
        let data = Data::new(&contents, 7, Gzip::Quick).unwrap();
        std::fs::write(at("it.ipk"), data.ipk("aarch64_generic").unwrap()).unwrap();
        script(&at("apk"), APK);
        // Or it would ask for fakeroot.
        script(&at("id"), "#!/bin/sh\necho 0\n");
        let path = format!(
            "{}:{}",
            dir.path().display(),
            std::env::var("PATH").unwrap()
        );
        let status = Command::new(root().join("deploy/openwrt/apk.sh"))
            .args([at("it.ipk"), at("it.apk")])
            .env("PATH", path)
            .status()
            .unwrap();
        assert!(status.success());
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        let words = read("words");
        for word in [
            "name:umbrella",
            "arch:aarch64_generic",
            concat!("version:", env!("CARGO_PKG_VERSION"), "-r1"),
        ] {
            assert!(words.lines().any(|it| it == word), "{word}: {words}");
        }
        let list = read("tree/lib/apk/packages/umbrella.list");
        assert!(list.contains("\n/etc/init.d/umbrella\n"), "{list}");
        assert!(list.contains("\n/usr/bin/umbrella\n"), "{list}");
        let kept = read("tree/lib/apk/packages/umbrella.conffiles_static");
        let hash = Sha256::digest(read("tree/etc/config/umbrella"));
        assert_eq!(kept, format!("/etc/config/umbrella {hash:x}\n"));

        let target = at("target");
        std::fs::create_dir_all(target.join("lib")).unwrap();
        std::fs::write(target.join("lib/functions.sh"), FUNCTIONS).unwrap();
        for (name, expected) in [
            ("post-install", "umbrella 0\n"),
            ("post-upgrade", "umbrella 1\n"),
            ("pre-deinstall", "umbrella\n"),
        ] {
            let run = Command::new("sh")
                .arg(at(name))
                .env("IPKG_INSTROOT", &target)
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&run.stdout), expected, "{name}");
            assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
        }
    }
}
