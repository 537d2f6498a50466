//! A document root that lives as long as a test, and requests for its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::header::ETAG;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use http_body_util::BodyExt as _;

use super::{Decision, FileBody, FileOptions, FileRequest, Held, decide};

/// 2024-01-02 03:04:05 UTC: the time of every file.
pub(super) const THEN: &str = "Tue, 02 Jan 2024 03:04:05 GMT";
const THEN_SECONDS: u64 = 1_704_164_645;

pub(super) struct Root(tempfile::TempDir);

impl Root {
    pub(super) fn with<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Self {
        Self::within(&std::env::temp_dir(), files)
    }

    /// A root on another file system than the usual one.
    pub(super) fn within<B: AsRef<[u8]>>(parent: &Path, files: &[(&str, B)]) -> Self {
        let root = Self(tempfile::tempdir_in(parent).unwrap());
        for (name, content) in files {
            let path = root.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(THEN_SECONDS);
            fs::File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
        }
        root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn ask(&self, name: &str) -> Ask {
        Ask {
            method: Method::GET,
            headers: HeaderMap::new(),
            path: self.path(name),
            beneath: None,
            options: FileOptions::default(),
        }
    }

    pub(super) fn etag(&self, name: &str) -> String {
        let response = self.ask(name).decide().render().unwrap();
        response.headers()[ETAG].to_str().unwrap().to_owned()
    }
}

pub(super) struct Ask {
    method: Method,
    headers: HeaderMap,
    path: PathBuf,
    beneath: Option<usize>,
    options: FileOptions<'static>,
}

impl Ask {
    pub(super) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn options(mut self, options: FileOptions<'static>) -> Self {
        self.options = options;
        self
    }

    /// Links may not lead out of this folder, by which the path begins.
    pub(super) fn beneath(mut self, folder: &Path) -> Self {
        self.beneath = Some(folder.as_os_str().len());
        self
    }

    pub(super) fn decide(self) -> Decision {
        self.decide_with(None)
    }

    pub(super) fn decide_with(self, held: Option<&Held>) -> Decision {
        let Self { method, headers, path, beneath, options } = &self;
        decide(FileRequest { method, headers, path, beneath: *beneath, options, held })
    }

    pub(super) fn answer(self) -> Response<FileBody> {
        self.decide().render().unwrap()
    }
}

/// The header lines of a response, in order of their names.
pub(super) fn lines<B>(response: &Response<B>) -> Vec<String> {
    let headers = response.headers().iter();
    let mut lines: Vec<_> =
        headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

/// The body to its end, which must be where its size said.
pub(super) async fn bytes_of(body: FileBody) -> Vec<u8> {
    let promised = http_body::Body::size_hint(&body).exact().unwrap();
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(bytes.len() as u64, promised);
    bytes.to_vec()
}
