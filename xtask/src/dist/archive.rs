//! Archives that are the same bytes whoever makes them: sorted, owned by root, with one time.

use anyhow::{Context, Result, bail};
use flate2::{Compression, GzBuilder};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZeroU64;

/// Longest name that a plain tar header holds.
const NAME_AT_MOST: usize = 100;

/// How hard an archive is packed. Whatever reads gzip reads both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gzip {
    /// As usual, in a second.
    Quick,
    /// By Zopfli: 3 % smaller of a binary for aarch64, in half a minute.
    Small,
}

impl Gzip {
    fn pack(self, bytes: &[u8]) -> Result<Vec<u8>> {
        match self {
            Gzip::Quick => {
                let mut gzip = GzBuilder::new()
                    .mtime(0)
                    .write(Vec::new(), Compression::best());
                gzip.write_all(bytes)?;
                Ok(gzip.finish()?)
            }
            Gzip::Small => {
                let options = zopfli::Options {
                    iteration_count: ZOPFLI_ROUNDS,
                    ..zopfli::Options::default()
                };
                let mut packed = Vec::new();
                zopfli::compress(options, zopfli::Format::Gzip, bytes, &mut packed)?;
                Ok(packed)
            }
        }
    }
}

/// More are slower and save less than a thousandth.
const ZOPFLI_ROUNDS: NonZeroU64 = NonZeroU64::new(5).unwrap();

/// Files to be packed, by their path without a leading `/`.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Tree {
    /// Adds a file with its permissions, as in `0o644`.
    pub(crate) fn add(&mut self, path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), (mode, bytes.into()));
    }

    /// What the files hold together, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.files.values().map(|(_, bytes)| bytes.len()).sum()
    }

    /// A gzipped tar. Each name begins with `prefix`; directories come before what is in them.
    /// `time` is that of all files, in seconds since 1970.
    pub(crate) fn pack(&self, prefix: &str, time: u64, gzip: Gzip) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut made = Vec::new();
        for (path, (mode, bytes)) in &self.files {
            for (end, _) in path.match_indices('/') {
                let dir = &path[..=end];
                if !made.contains(&dir) {
                    let header = header(&format!("{prefix}{dir}"), 0o755, 0, time)?;
                    tar.append(&header, std::io::empty())?;
                    made.push(dir);
                }
            }
            let header = header(&format!("{prefix}{path}"), *mode, bytes.len() as u64, time)?;
            tar.append(&header, bytes.as_slice())?;
        }
        gzip.pack(&tar.into_inner()?)
    }
}

/// A name that ends with `/` is a directory. The name is written as it is: the library would take
/// away the `./` that opkg looks for.
fn header(name: &str, mode: u32, size: u64, time: u64) -> Result<tar::Header> {
    if name.len() >= NAME_AT_MOST {
        bail!("{name} is too long a name for an archive");
    }
    let mut header = tar::Header::new_gnu();
    header
        .as_old_mut()
        .name
        .get_mut(..name.len())
        .context("a name that fits")?
        .copy_from_slice(name.as_bytes());
    header.set_entry_type(if name.ends_with('/') {
        tar::EntryType::Directory
    } else {
        tar::EntryType::Regular
    });
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

/// Of a packed file: name, permissions, user and group, time, bytes.
#[cfg(test)]
pub(crate) type Entry = (String, u32, (u64, u64), u64, Vec<u8>);

/// What is in a gzipped tar.
#[cfg(test)]
pub(crate) fn unpack(packed: &[u8]) -> Vec<Entry> {
    use std::io::Read as _;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        found.push((
            String::from_utf8(header.path_bytes().into_owned()).unwrap(),
            header.mode().unwrap(),
            (header.uid().unwrap(), header.gid().unwrap()),
            header.mtime().unwrap(),
            bytes,
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_depends_on_the_order_in_which_files_were_found() {
        let (mut one, mut other) = (Tree::default(), Tree::default());
        one.add("b/c", 0o644, "c");
        one.add("a", 0o755, "a");
        other.add("a", 0o755, "a");
        other.add("b/c", 0o644, "c");
        let packed = one.pack("./", 7, Gzip::Quick).unwrap();
        assert_eq!(packed, other.pack("./", 7, Gzip::Quick).unwrap());
        let root = (0, 0);
        let expected = vec![
            ("./a".to_owned(), 0o755, root, 7, b"a".to_vec()),
            ("./b/".to_owned(), 0o755, root, 7, Vec::new()),
            ("./b/c".to_owned(), 0o644, root, 7, b"c".to_vec()),
        ];
        assert_eq!(unpack(&packed), expected);
    }

    #[test]
    fn an_archive_that_is_packed_hard_has_something_else_in_it() {
        let mut tree = Tree::default();
        let text = "each line as the one before\n".repeat(1000);
        tree.add("text", 0o644, text.as_str());
        let quick = tree.pack("", 7, Gzip::Quick).unwrap();
        let small = tree.pack("", 7, Gzip::Small).unwrap();
        assert_eq!(unpack(&quick), unpack(&small));
        assert_eq!(unpack(&small)[0].4, text.as_bytes());
        assert!(small.len() < quick.len());
        assert_eq!(small, tree.pack("", 7, Gzip::Small).unwrap());
    }

    #[test]
    fn a_long_name_is_cut() {
        let mut tree = Tree::default();
        tree.add("n".repeat(100), 0o644, "");
        assert!(tree.pack("", 0, Gzip::Quick).is_err());
    }
}
