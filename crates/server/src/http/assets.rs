//! The page: files packed into the binary by the build.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::state::App;

/// A file of the page.
#[derive(Debug)]
struct Asset {
    /// Relative to the page's root.
    path: &'static str,
    /// Whether `bytes` are compressed.
    gzip: bool,
    /// Tells versions apart.
    hash: &'static str,
    bytes: &'static [u8],
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// What the page's source has where the prefix belongs.
const BASE: &str = "<base href=\"/\" data-prefix";

const FOREVER: &str = "public, max-age=31536000, immutable";
const REVALIDATE: &str = "no-cache";

/// The first page, with the prefix in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Page {
    plain: Arc<[u8]>,
    gzip: Arc<[u8]>,
    etag: HeaderValue,
}

impl Page {
    /// The page below a prefix (empty, or `/…`).
    pub fn new(prefix: &str) -> Self {
        let source = ASSETS
            .iter()
            .find(|asset| asset.path == "index.html")
            .map_or(&b""[..], |asset| asset.bytes);
        let base = format!("<base href=\"{prefix}/\"");
        let text = String::from_utf8_lossy(source).replace(BASE, &base);
        let gzip = compress(text.as_bytes());
        let digest = crate::auth::stable_identity("page", prefix, &text);
        Self {
            plain: text.into_bytes().into(),
            gzip: gzip.into(),
            etag: etag(&digest),
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let (bytes, compressed) = if accepts_gzip(headers) {
            (&self.gzip, true)
        } else {
            (&self.plain, false)
        };
        let body = bytes::Bytes::from_owner(Arc::clone(bytes));
        respond(
            headers,
            Body::from(body),
            "text/html; charset=utf-8",
            &self.etag,
            REVALIDATE,
            compressed,
        )
    }
}

/// Checks that the page is in this binary as it was built: every file whole, and all that the first
/// page refers to. How many files there are.
///
/// # Errors
///
/// What is wrong.
pub(crate) fn check() -> Result<usize, String> {
    check_files(ASSETS)
}

fn check_files(files: &[Asset]) -> Result<usize, String> {
    for file in files {
        let plain = match file.gzip {
            true => decompress(file.bytes),
            false => file.bytes.to_vec(),
        };
        if format!("{:016x}", fnv(&plain)) != file.hash {
            return Err(format!("{} is damaged", file.path));
        }
    }
    let index = files.iter().find(|file| file.path == "index.html");
    let index = index.ok_or("there is no index.html")?;
    let text = String::from_utf8_lossy(index.bytes);
    if !text.contains(BASE) {
        return Err("index.html has no place for the prefix".to_owned());
    }
    let mut script = false;
    for (_, rest) in text
        .match_indices("\"./assets/")
        .map(|(at, _)| text.split_at(at + 3))
    {
        let path = rest.split('"').next().unwrap_or_default();
        if !files.iter().any(|file| file.path == path) {
            return Err(format!("{path} is missing"));
        }
        script |= path.ends_with(".js") && has_hash(path);
    }
    match script {
        true => Ok(files.len()),
        false => Err("this binary was built before its page was".to_owned()),
    }
}

/// As the build does it.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The first page; also what clients probe, from any origin.
pub(super) async fn page(State(app): State<App>, headers: HeaderMap) -> Response {
    let mut response = app.page.answer(&headers);
    response.headers_mut().insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    response
}

/// A file below `assets/`.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("assets/{path}");
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let cache = if has_hash(&path) { FOREVER } else { REVALIDATE };
    let (body, compressed) = match (asset.gzip, accepts_gzip(&headers)) {
        (true, true) => (Body::from(asset.bytes), true),
        (true, false) => (Body::from(decompress(asset.bytes)), false),
        (false, _) => (Body::from(asset.bytes), false),
    };
    respond(
        &headers,
        body,
        kind(&path),
        &etag(asset.hash),
        cache,
        compressed,
    )
}

fn respond(
    request: &HeaderMap,
    body: Body,
    kind: &'static str,
    etag: &HeaderValue,
    cache: &'static str,
    compressed: bool,
) -> Response {
    let same = request.get(header::IF_NONE_MATCH) == Some(etag);
    let mut response = if same {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(body)
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::ETAG, etag.clone());
    if compressed && !same {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim() == "gzip" && quality.trim() != "q=0"
        })
}

/// Weak, since the compressed and the plain form share it.
fn etag(hash: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("W/\"{hash}\"")).unwrap_or(HeaderValue::from_static("W/\"0\""))
}

/// Whether a file's name changes with its content: the bundler writes `name-HASH.ext`.
fn has_hash(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split_once('.')
        .and_then(|(stem, _)| stem.get(stem.len().checked_sub(9)?..))
        .is_some_and(|end| {
            end.starts_with('-')
                && end[1..]
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
                && end[1..]
                    .bytes()
                    .any(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        })
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Of our own files only, so that the size is known to be sane.
fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_its_prefix() {
        for (prefix, base) in [("", "<base href=\"/\""), ("/u", "<base href=\"/u/\"")] {
            let page = Page::new(prefix);
            let text = String::from_utf8(page.plain.to_vec()).unwrap();
            assert!(text.contains(base), "{text}");
            assert_eq!(decompress(&page.gzip), &*page.plain);
        }
        assert_ne!(Page::new("").etag, Page::new("/u").etag);
    }

    #[test]
    fn page_that_is_not_whole_goes_unnoticed() {
        let head = "<base href=\"/\" data-prefix>";
        let script = "<script src=\"./assets/index-B3kd9_x2.js\"></script>";
        let file = |path: &'static str, gzip: bool, text: &str| {
            let hash: &'static str = format!("{:016x}", fnv(text.as_bytes())).leak();
            let bytes = match gzip {
                true => compress(text.as_bytes()),
                false => text.as_bytes().to_vec(),
            };
            Asset {
                path,
                gzip,
                hash,
                bytes: bytes.leak(),
            }
        };
        let index = |text: String| file("index.html", false, &text);
        let good = || index(format!("{head}{script}"));
        let code = || file("assets/index-B3kd9_x2.js", true, "code");
        assert_eq!(check_files(&[good(), code()]), Ok(2));
        let wrong = |files: &[Asset]| check_files(files).unwrap_err();
        assert!(wrong(&[good()]).contains("index-B3kd9_x2.js is missing"));
        assert!(wrong(&[code()]).contains("no index.html"));
        assert!(wrong(&[index(script.into()), code()]).contains("prefix"));
        assert!(wrong(&[index(head.into())]).contains("before its page"));
        let damaged = Asset {
            bytes: &code().bytes[..12],
            ..code()
        };
        assert!(wrong(&[good(), damaged]).contains("is damaged"));
    }

    #[test]
    fn only_names_that_change_are_cached_forever() {
        assert!(has_hash("assets/index-B3kd9_x2.js"));
        assert!(has_hash("assets/worker-AbCdEfGh.min.js"));
        for name in [
            "assets/icon.svg",
            "assets/some-longname.svg",
            "assets/x",
            "assets/é-1.js",
        ] {
            assert!(!has_hash(name), "{name}");
        }
    }

    #[test]
    fn a_client_without_compression_gets_plain_files() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            accepts_gzip(&headers)
        };
        assert!(with("br, gzip") && with("gzip;q=0.5"));
        assert!(!with("br") && !with("gzip;q=0") && !accepts_gzip(&HeaderMap::new()));
    }
}
