//! Packs the built page (`ui/dist`) for the binary: every file, compressed once where it pays.
//! Without it the server still builds and serves a page that says so.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<base href=\"/\" data-prefix>
<meta name=\"viewport\" content=\"width=device-width\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>Umbrella</title>
<h1>Umbrella is running without its page</h1>
<p>This binary was built before the page was. Build it by <code>cargo xtask run</code>.</p>
</html>
";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let dist = root.join("../../ui/dist");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", dist.display());
    let packed = out.join("page");
    let _ = fs::remove_dir_all(&packed);
    fs::create_dir_all(&packed).expect("a directory for the page");
    let mut files = Vec::new();
    if dist.join("index.html").exists() {
        collect(&dist, &dist, &mut files);
    } else {
        let path = packed.join("placeholder.html");
        fs::write(&path, PLACEHOLDER).expect("the placeholder");
        files.push(("index.html".to_owned(), path));
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (index, (name, path)) in files.iter().enumerate() {
        let bytes = fs::read(path).expect("a file of the page");
        // The first page is rewritten at the start, so that it is kept as it is.
        let compressed = (name != "index.html").then(|| gzip(&bytes));
        let compressed = compressed.filter(|c| c.len() * 10 < bytes.len() * 9);
        let kept = packed.join(index.to_string());
        fs::write(&kept, compressed.as_ref().unwrap_or(&bytes)).expect("a packed file");
        writeln!(
            table,
            "    Asset {{ path: {name:?}, gzip: {}, hash: {:?}, bytes: include_bytes!({kept:?}) }},",
            compressed.is_some(),
            format!("{:016x}", fnv(&bytes)),
        )
        .expect("a line");
    }
    table.push(']');
    fs::write(out.join("page.rs"), table).expect("the table of the page");
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(dir).expect("a directory of the page") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_none_or(|e| e != "map") {
            let name = path.strip_prefix(root).expect("below the root");
            files.push((name.to_string_lossy().replace('\\', "/"), path));
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Zopfli makes it a twentieth smaller, and takes seconds: for the binaries that have to be small.
    if env::var("OPT_LEVEL").as_deref() == Ok("z") {
        let mut packed = Vec::new();
        let options = zopfli::Options::default();
        zopfli::compress(options, zopfli::Format::Gzip, bytes, &mut packed).expect("memory");
        return packed;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// FNV-1a: tells versions of a file apart, nothing more.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
