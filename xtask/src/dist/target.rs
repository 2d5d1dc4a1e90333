//! What is built for whom.

/// A processor with Linux.
pub(crate) struct Target {
    /// Rust's name.
    pub(crate) triple: &'static str,
    /// Ours, in the names of files.
    pub(crate) name: &'static str,
    /// OpenWrt's architectures that run this binary. opkg takes only packages that name the access
    /// point's own, so each has a package; what they install is the same.
    pub(crate) openwrt: &'static [&'static str],
    /// What runs it elsewhere.
    pub(crate) emulator: &'static str,
    /// What containers' registries call it.
    pub(crate) platform: &'static str,
    /// Debian's architecture.
    pub(crate) debian: &'static str,
}

/// Those with a hard-float ARM binary must have VFPv3-D16: `arm_cortex-a7` and `arm_cortex-a9`
/// promise none.
pub(crate) const TARGETS: [Target; 3] = [
    Target {
        triple: "x86_64-unknown-linux-musl",
        name: "x86_64-linux-musl",
        openwrt: &["x86_64"],
        emulator: "qemu-x86_64-static",
        platform: "linux/amd64",
        debian: "amd64",
    },
    Target {
        triple: "aarch64-unknown-linux-musl",
        name: "aarch64-linux-musl",
        openwrt: &[
            "aarch64_cortex-a53",
            "aarch64_cortex-a72",
            "aarch64_cortex-a76",
            "aarch64_generic",
        ],
        emulator: "qemu-aarch64-static",
        platform: "linux/arm64",
        debian: "arm64",
    },
    Target {
        triple: "armv7-unknown-linux-musleabihf",
        name: "armv7-linux-musl",
        openwrt: &[
            "arm_cortex-a15_neon-vfpv4",
            "arm_cortex-a5_vfpv4",
            "arm_cortex-a7_neon-vfpv4",
            "arm_cortex-a7_vfpv4",
            "arm_cortex-a8_vfpv3",
            "arm_cortex-a9_neon",
            "arm_cortex-a9_vfpv3-d16",
        ],
        emulator: "qemu-arm-static",
        platform: "linux/arm/v7",
        debian: "armhf",
    },
];

/// The target of that name of Rust's.
pub(crate) fn named(triple: &str) -> Result<&'static Target, String> {
    let known = TARGETS.iter().find(|target| target.triple == triple);
    known.ok_or_else(|| {
        let all = TARGETS.map(|target| target.triple).join(", ");
        format!("there are {all}")
    })
}
