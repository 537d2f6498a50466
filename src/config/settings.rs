//! The keys that a site and a route share: what a route does not say, it has from its site.

use std::path::{Path, PathBuf};

use crate::route::{HeaderRule, Settings, Template};

use super::compression;
use super::reader::{Node, Table};
use super::text::Text;
use super::{error_pages, expiry, types, values};

/// nginx's default index is `index.html` alone; a preset names its own.
pub(super) const INDEX: &str = "index.html";

/// Reads the shared keys over what is inherited.
pub(super) fn read_over(settings: &mut Settings, table: &Table<'_>, known: &[String]) {
    if let Some(index) = table.get("index").and_then(|index| read_index(index, known)) {
        settings.index = index;
    }
    if let Some(access) = values::access(table) {
        settings.access = access;
    }
    if let Some(headers) = values::headers(table, known) {
        add_headers(&mut settings.headers, headers);
    }
    if let Some(expires) = table.get("expires") {
        settings.expires = expiry::read(expires);
    }
    if let Some(charset) = table.get("charset").and_then(read_charset) {
        settings.charset = charset;
    }
    if let Some(node) = table.get("compression") {
        compression::read_over(&mut settings.compression, node);
    }
    if let Some(size) = table.get("max_body").and_then(Node::size) {
        settings.max_body = size;
    }
    if let Some(buffering) = table.get("buffering").and_then(Node::switch) {
        settings.buffering = buffering;
    }
    if let Some(beneath) = table.get("symlinks").and_then(read_symlinks) {
        settings.beneath = beneath;
    }
    types::read_over(settings, table);
    error_pages::read_over(&mut settings.error_pages, table, known);
    settings.intercept_errors = table.boolean_or("intercept_errors", settings.intercept_errors);
    settings.absolute_redirect = table.boolean_or("absolute_redirect", settings.absolute_redirect);
    settings.serve_source = table.boolean_or("serve_source", settings.serve_source);
    if let Some(sendfile) = table.get("sendfile").and_then(Node::switch) {
        settings.sendfile = sendfile;
    }
}

/// Whether links are held beneath the root, which is the kernel's to do (openat2, Linux 5.6; old container engines forbid it).
fn read_symlinks(node: Node<'_>) -> Option<bool> {
    let beneath = node.choice(&[("follow", false), ("beneath", true)])?;
    if beneath && let Err(error) = beneath_is_known() {
        let hint = "Linux 5.6 or later has it, where the container engine lets it through; \"follow\" asks for nothing";
        node.mistake(
            format_args!("the kernel does not hold links beneath a folder (openat2: {error})"),
            hint,
        );
    }
    Some(beneath)
}

fn beneath_is_known() -> rustix::io::Result<()> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    openat2(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH).map(drop)
}

pub(super) fn read_index(index: Node<'_>, known: &[String]) -> Option<Vec<Template>> {
    let texts = index.texts()?;
    Some(texts.iter().filter_map(|text| values::template(text, known)).collect())
}

/// A name that is set again replaces what was inherited under it; all others stay. (nginx drops every inherited
/// header as soon as a location sets one, which nobody expects.)
fn add_headers(inherited: &mut Vec<HeaderRule>, own: Vec<HeaderRule>) {
    inherited.retain(|rule| own.iter().all(|other| other.name != rule.name));
    inherited.extend(own);
}

/// The name goes into a header: a token, or `off`.
fn read_charset(charset: Node<'_>) -> Option<String> {
    let text = charset.text()?;
    if &*text == "off" {
        return Some(String::new());
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if text.is_empty() || !text.bytes().all(token) {
        text.mistake(format_args!("'{}' is not a charset", text.value), "\"utf-8\", or \"off\"");
    }
    Some(text.value.to_owned())
}

/// `root` and `backend_root` of a site or a route: where the files lie here, and for php-fpm. Whether there is a root.
pub(super) fn read_roots(settings: &mut Settings, table: &Table<'_>, base: &Path, remote: bool) -> bool {
    let backend_root = table.get("backend_root").and_then(Node::text).and_then(|text| backend_root(&text));
    let own = table.get("root").and_then(Node::text).and_then(|text| root(&text, base, remote));
    let site_has_none = settings.root.as_os_str().is_empty();
    // With `scripts = "remote"` php-fpm's folder may be the only one there is.
    let root = own.or_else(|| backend_root.clone().filter(|_| remote && site_has_none));
    if let Some(root) = root {
        settings.backend_root = backend_root_of(&root, settings);
        settings.root = root;
    }
    if let Some(backend_root) = backend_root {
        settings.backend_root = backend_root;
    }
    if let Some(folders) = table.get("x_sendfile") {
        settings.x_sendfile = types::read_sendfile(folders, base);
    }
    !settings.root.as_os_str().is_empty()
}

/// A folder below the inherited root lies at the same place below the inherited backend root; any other has the same
/// path for php-fpm.
fn backend_root_of(root: &Path, inherited: &Settings) -> PathBuf {
    match root.strip_prefix(&inherited.root) {
        Ok(_) if inherited.root.as_os_str().is_empty() => root.to_owned(),
        Ok(below) if below.as_os_str().is_empty() => inherited.backend_root.clone(),
        Ok(below) => inherited.backend_root.join(below),
        Err(_) => root.to_owned(),
    }
}

fn root(text: &Text<'_>, base: &Path, remote: bool) -> Option<PathBuf> {
    no_variables(text)?;
    if text.is_empty() {
        text.mistake("the path is empty", "\".\" is the folder of this file");
        return None;
    }
    let hint = "a path here is relative to the folder of this file; if the files lie only in php-fpm's image, say \
                scripts = \"remote\"";
    Some(match remote {
        true => values::path(base, text),
        false => values::existing_folder(text, base, hint),
    })
}

/// Lies on another machine: nothing about it can be checked here but its form.
fn backend_root(text: &Text<'_>) -> Option<PathBuf> {
    no_variables(text)?;
    if !text.starts_with('/') {
        text.mistake("must be an absolute path, as php-fpm sees it", "backend_root = \"/var/www/html\"");
    }
    Some(text.trim_end_matches('/').into())
}

pub(super) fn no_variables(text: &Text<'_>) -> Option<()> {
    let Some(at) = text.find('$') else { return Some(()) };
    text.mistake_in(at..at + 1, format_args!("not supported yet: variables in {}", text.node.key()), None);
    None
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{model_in, project, site};
    use crate::route::{Expires, Expiry, Location, Who};
    use std::path::Path;
    use std::sync::Arc;

    fn route(site_lines: &str, lines: &str) -> Location {
        site(&format!("{site_lines}\n[[sites.routes]]\nmatch = \"/\"\n{lines}")).locations.remove(0)
    }

    #[test]
    fn a_site_without_a_word_has_the_documented_defaults() {
        let settings = site("").settings;
        assert_eq!(settings.max_body, 64 << 20);
        assert_eq!(settings.script_extensions, [".php"]);
        assert_eq!((settings.charset.as_str(), &settings.expires), ("utf-8", &None));
        assert!(settings.buffering && !settings.serve_source && !settings.internal);
        assert_eq!(settings.root, settings.backend_root);
        assert!(settings.sendfile);
    }

    #[test]
    fn a_route_has_from_its_site_what_it_does_not_say() {
        let lines = "max_body = \"1m\"\nindex = [\"a.html\"]\ndeny = [\"all\"]\ncharset = \"off\"";
        let inherited = route(lines, "").settings;
        assert_eq!(
            (inherited.max_body, inherited.index[0].as_str(), inherited.charset.as_str()),
            (1 << 20, "a.html", "")
        );
        assert_eq!(inherited.access[0].who, Who::All);
        let own = route(
            lines,
            "max_body = 0\nindex = []\nallow = [\"all\"]\nbuffering = false\nserve_source = true",
        )
        .settings;
        assert_eq!((own.max_body, own.index.len(), own.buffering, own.serve_source), (0, 0, false, true));
        assert_eq!((own.access.len(), own.access[0].allow), (1, true));
        assert!(!route("sendfile = \"off\"", "").settings.sendfile);
        assert!(route("sendfile = false", "sendfile = \"on\"").settings.sendfile);
    }

    #[test]
    fn allow_and_deny_hold_in_the_order_of_the_file() {
        let rules =
            |lines: &str| route("", lines).settings.access.iter().map(|rule| rule.allow).collect::<Vec<_>>();
        assert_eq!(rules("allow = [\"10.0.0.0/8\", \"::1\"]\ndeny = [\"all\"]"), [true, true, false]);
        assert_eq!(rules("deny = [\"10.0.0.1\"]\nallow = [\"all\"]"), [false, true]);
    }

    #[test]
    fn a_header_that_is_set_again_replaces_the_inherited_one_and_leaves_the_others() {
        let site_lines = "headers = { X-A = \"site\", X-B = \"site\" }";
        let headers = route(site_lines, "headers = { \"!x-a\" = \"route\" }").settings.headers.clone();
        let shown: Vec<_> =
            headers.iter().map(|rule| (rule.name.as_str(), rule.value.as_str(), rule.replace)).collect();
        assert_eq!(shown, [("x-b", "site", false), ("x-a", "route", true)]);
    }

    #[test]
    fn expires_as_nginx_writes_it() {
        for (written, expires) in [
            ("\"off\"", None),
            ("\"epoch\"", Some(Expires::Epoch)),
            ("\"max\"", Some(Expires::Max)),
            ("\"@15h30m\"", Some(Expires::Daily(55_800))),
            ("\"30d\"", Some(Expires::Seconds(2_592_000))),
            ("\"+1h\"", Some(Expires::Seconds(3600))),
            ("\"-1\"", Some(Expires::Seconds(-1))),
            ("-1", Some(Expires::Seconds(-1))),
            ("\"modified +1h\"", Some(Expires::Modified(3600))),
            ("\"modified 1d\"", Some(Expires::Modified(86_400))),
            ("\"modified -1m\"", Some(Expires::Modified(-60))),
        ] {
            let read = route("expires = \"1s\"", &format!("expires = {written}")).settings.expires.clone();
            let all = expires.map(|expires| Arc::new(Expiry::new(Vec::new(), Some(expires))));
            assert_eq!(read, all, "{written}");
        }
    }

    #[test]
    fn expires_by_type_takes_the_place_of_what_is_inherited() {
        let table =
            r#"expires = { "image/*" = "30d", default = "1h", "text/css" = "max", "text/html" = "off" }"#;
        for site in ["expires = \"1s\"", r#"expires = { "text/plain" = "1s" }"#] {
            let read = route(site, table).settings.expires.clone().unwrap();
            assert_eq!(read.to_string(), "text/css max, text/html off, image/* 30d, else 1h", "{site}");
        }
        assert_eq!(route(table, "expires = \"off\"").settings.expires, None);
    }

    #[test]
    fn a_root_below_the_site_s_has_the_same_place_for_php_fpm() {
        let project = project();
        let text = |root: &str| {
            format!(
                "[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\nbackend_root = \"/app/\"\n\
                 [[sites.routes]]\nmatch = \"/\"\n{root}\n"
            )
        };
        let settings =
            |root: &str| model_in(project.path(), &text(root)).sites[0].locations[0].settings.clone();
        assert_eq!(settings("").backend_root, Path::new("/app"));
        let below = settings("root = \"public/sub\"");
        assert_eq!(
            (&*below.root, &*below.backend_root),
            (&*project.path().join("public/sub"), Path::new("/app/sub"))
        );
        let beside = settings("root = \".\"");
        assert_eq!((&*beside.root, &*beside.backend_root), (project.path(), project.path()));
        assert_eq!(settings("root = \".\"\nbackend_root = \"/other\"").backend_root, Path::new("/other"));
    }

    #[test]
    fn a_remote_site_need_not_have_its_files_here() {
        let text = "[pools.php]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\nscripts = \"remote\"\n\
                    backend_root = \"/var/www/html\"\npreset = \"laravel\"\n";
        let site = model_in(Path::new("/etc/cornac"), text).sites.remove(0);
        assert_eq!(site.settings.root, Path::new("/var/www/html"));
        assert_eq!(site.settings.backend_root, Path::new("/var/www/html"));
    }
}
