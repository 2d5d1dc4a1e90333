//! Packages for opkg (OpenWrt up to 24.10): a gzipped tar of three files.

use super::archive::Tree;
use crate::workspace::{files_of, root};
use anyhow::{Context, Result};

/// The pattern of OpenWrt's own build: the init script is enabled, and started where it may.
const POSTINST: &str = "#!/bin/sh
[ \"${IPKG_NO_SCRIPT}\" = \"1\" ] && exit 0
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_postinst $0 $@
";
const PRERM: &str = "#!/bin/sh
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
default_prerm $0 $@
";

/// What is installed: the binary and `deploy/openwrt/files`. Modes are said here, since a checkout
/// does not keep them.
pub(crate) fn contents(binary: &[u8], licences: &str) -> Result<Tree> {
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
    let packed = third.pack("", 0)?;
    tree.add("usr/share/umbrella/licenses.tar.gz", 0o644, packed);
    Ok(tree)
}

/// A package for one of OpenWrt's architectures.
pub(crate) fn ipk(contents: &Tree, architecture: &str, time: u64) -> Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let mut control = Tree::default();
    let text = format!(
        "Package: umbrella\nVersion: {version}-r1\nSection: net\nPriority: optional\n\
         Architecture: {architecture}\nInstalled-Size: {}\nLicense: MIT OR Apache-2.0\n\
         Maintainer: The Umbrella authors <umbrella@localhost>\n\
         Description: Video rooms, cameras, and links between sites in one binary\n",
        contents.size()
    );
    control.add("control", 0o644, text);
    control.add("conffiles", 0o644, "/etc/config/umbrella\n");
    control.add("postinst", 0o755, POSTINST);
    control.add("prerm", 0o755, PRERM);
    let mut outer = Tree::default();
    outer.add("debian-binary", 0o644, "2.0\n");
    outer.add("control.tar.gz", 0o644, control.pack("./", time)?);
    outer.add("data.tar.gz", 0o644, contents.pack("./", time)?);
    outer.pack("./", time)
}

#[cfg(test)]
mod tests {
    use super::super::archive::unpack;
    use super::*;

    #[test]
    fn a_package_is_refused_or_its_service_does_not_start() {
        let tree = contents(b"binary", "licences").unwrap();
        let package = ipk(&tree, "aarch64_cortex-a53", 7).unwrap();
        let again = contents(b"binary", "licences").unwrap();
        assert_eq!(package, ipk(&again, "aarch64_cortex-a53", 7).unwrap());
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
        for (name, _, _, _, bytes) in unpack(&contents(b"", "").unwrap().pack("./", 0).unwrap()) {
            assert!(!String::from_utf8_lossy(&bytes).contains(&host), "{name}");
        }
    }
}
