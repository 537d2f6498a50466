//! `auth`, `auth_request`, `satisfy` and `limits` of a site or a route. Password files are read here too, so that a wrong line is
//! told by `cornac check` and not by a user who cannot get in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::guard::Htpasswd;
use crate::route::{AuthRequest, BasicAuth, Limit, Limits, RequestRate, Settings, Template};

use super::reader::{Node, Table};
use super::text::Text;
use super::values;

const AUTH_HINT: &str = "auth = { realm = \"Staff\", file = \".htpasswd\" }, or \"off\"";
const RATE_HINT: &str = "requests and a unit of time: \"10r/s\", \"600r/m\", \"100r/h\"";
const LIMITS_HINT: &str =
    "limits = { rate = \"10r/s\", burst = 20, connections = 10 }, a list of such, or \"off\"";
/// More could never be counted.
const MOST: u32 = 1_000_000;

/// Where the keys stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) base: &'a Path,
    /// Names that regexes around it capture.
    pub(super) known: &'a [String],
    /// The route, or nothing: locations that inherit a limit share its counts.
    pub(super) at: &'a str,
    /// Whether the site's preset refuses dotfiles.
    pub(super) hides_dotfiles: bool,
}

/// Reads the keys over what is inherited.
pub(super) fn read_over(settings: &mut Settings, table: &Table<'_>, scene: Scene<'_>) {
    let keys = ["auth", "auth_request", "satisfy", "limits"].map(|key| table.get(key));
    if keys.iter().all(Option::is_none) {
        return;
    }
    let [auth, asks, satisfy, limits] = keys;
    let mut guard = settings.guard.as_deref().cloned().unwrap_or_default();
    if let Some(node) = auth {
        guard.auth = if is_off(node) { None } else { read_auth(node, settings, scene).map(Arc::new) };
    }
    if let Some(node) = asks {
        guard.asks = if is_off(node) { None } else { read_asks(node, scene).map(Arc::new) };
    }
    if let Some(any) = satisfy.and_then(|node| node.choice(&[("all", false), ("any", true)])) {
        guard.any = any;
    }
    if let Some(node) = limits {
        guard.limits = if is_off(node) { None } else { read_limits(node, scene).map(Arc::new) };
    }
    let is_empty = guard.auth.is_none() && guard.asks.is_none() && guard.limits.is_none() && !guard.any;
    settings.guard = (!is_empty).then(|| Arc::new(guard));
}

/// Switches off what is inherited.
fn is_off(node: Node<'_>) -> bool {
    node.is_false() || node.as_text().is_some_and(|text| text.value == "off")
}

fn read_auth(node: Node<'_>, settings: &Settings, scene: Scene<'_>) -> Option<BasicAuth> {
    if !node.is_table() {
        node.mistake(format_args!("expected a table or \"off\", found {}", node.kind()), AUTH_HINT);
        return None;
    }
    let table = node.table()?;
    let realm = table.get("realm").and_then(Node::text);
    if let Some(realm) = realm.filter(|realm| realm.chars().any(char::is_control)) {
        realm.mistake("a realm is one line without control characters", AUTH_HINT);
    }
    let file =
        table.required("file", AUTH_HINT).and_then(Node::text).map(|file| read_file(&file, settings, scene));
    table.finish(&[]);
    Some(BasicAuth { realm: realm.map_or("Restricted", |realm| realm.value).to_owned(), file: file? })
}

fn read_file(text: &Text<'_>, settings: &Settings, scene: Scene<'_>) -> PathBuf {
    let path = values::path(scene.base, text);
    let hides = scene.hides_dotfiles
        && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    if path.starts_with(&settings.root) && !settings.root.as_os_str().is_empty() && !hides {
        let hint = "put it beside the root, not below it";
        text.mistake(
            format_args!("{} lies below the root, where clients could ask for it", path.display()),
            hint,
        );
    }
    let name = path.display().to_string();
    let make = format!("make it: htpasswd -B -c {name} USER");
    match std::fs::read(&path).map(String::from_utf8) {
        Err(error) => text.mistake(format_args!("{name} {}", values::reason(&error)), make),
        Ok(Err(_)) => text.mistake(format_args!("{name} is not UTF-8 text"), make),
        Ok(Ok(lines)) => {
            let (file, wrong) = Htpasswd::parse(&lines, &name);
            for line in &wrong {
                text.mistake(format_args!("{name}:{}: {}", line.line, line.what), line.remedy.clone());
            }
            if file.is_empty() && wrong.is_empty() {
                text.mistake(format_args!("{name} has no user in it"), make);
            }
        }
    }
    path
}

fn read_asks(node: Node<'_>, scene: Scene<'_>) -> Option<AuthRequest> {
    let hint = "auth_request = \"/auth.php\", { uri = \"/auth.php\", params = { AUTH_USER = \"X-User\" } }, or \"off\"";
    if !node.is_table() {
        return Some(AuthRequest {
            uri: read_uri(&node.text_or(" or a table")?, scene, hint)?,
            params: Vec::new(),
        });
    }
    let table = node.table()?;
    let uri = table.required("uri", hint).and_then(Node::text).and_then(|uri| read_uri(&uri, scene, hint));
    let params = table.table("params").map(|params| params.entries()).unwrap_or_default();
    let params = params.into_iter().filter_map(read_param).collect();
    table.finish(&[]);
    Some(AuthRequest { uri: uri?, params })
}

fn read_uri(text: &Text<'_>, scene: Scene<'_>, hint: &str) -> Option<Template> {
    if !text.starts_with('/') {
        text.mistake(format_args!("'{}' is not a path of this site", text.value), hint);
    }
    values::template(text, scene.known)
}

fn read_param(entry: Node<'_>) -> Option<(String, HeaderName)> {
    let text = entry.text()?;
    values::check_param_name(entry);
    match HeaderName::try_from(text.value) {
        Ok(header) => Some((entry.key().to_owned(), header)),
        Err(_) => {
            text.mistake(format_args!("'{}' is not a header's name", text.value), "AUTH_USER = \"X-User\"");
            None
        }
    }
}

fn read_limits(node: Node<'_>, scene: Scene<'_>) -> Option<Limits> {
    let elements = match node.is_list() {
        true => node.list("a list of tables")?,
        false if node.is_table() => vec![node],
        false => {
            let message = format!("expected a table, a list of tables or \"off\", found {}", node.kind());
            node.mistake(message, LIMITS_HINT);
            return None;
        }
    };
    if elements.is_empty() {
        node.mistake("the list is empty", LIMITS_HINT);
    }
    let all = elements.into_iter().filter_map(|element| read_limit(element, scene)).collect();
    Some(Limits { at: scene.at.to_owned(), all })
}

fn read_limit(node: Node<'_>, scene: Scene<'_>) -> Option<Limit> {
    let table = node.table()?;
    let [rate, burst, delay, connections] =
        ["rate", "burst", "delay", "connections"].map(|key| table.get(key));
    if rate.is_none() && connections.is_none() {
        node.mistake("it limits nothing: neither rate nor connections", LIMITS_HINT);
    }
    for without in [burst, delay].into_iter().flatten().filter(|_| rate.is_none()) {
        without.mistake_at_key(format_args!("{} needs a rate", without.key()), RATE_HINT);
    }
    let by = table.get("by").and_then(Node::text).and_then(|by| read_key(&by, scene));
    let limit = Limit {
        rate: rate.and_then(Node::text).and_then(|rate| read_rate(&rate)),
        burst: burst.and_then(|burst| burst.number(0..=MOST)).unwrap_or(0),
        connections: connections.and_then(|connections| connections.number(1..=MOST)),
        by: by.unwrap_or_else(client),
        delay: delay.and_then(Node::boolean).unwrap_or(false),
        dry_run: table.boolean_or("dry_run", false),
    };
    table.finish(&[]);
    Some(limit)
}

fn client() -> Template {
    Template::parse("$remote_addr").unwrap_or_else(|_| Template::literal("everybody"))
}

fn read_key(by: &Text<'_>, scene: Scene<'_>) -> Option<Template> {
    if let Some(at) = by.find("$remote_user").or_else(|| by.find("${remote_user}")) {
        let hint = "requests are counted before a password is looked at: \"$remote_addr\", or \"$http_authorization\"";
        by.mistake_in(at..by.len(), "nobody is known yet where requests are counted", hint);
    }
    values::template(by, scene.known)
}

/// nginx's `10r/s` and `600r/m`, and hours and days.
fn read_rate(text: &Text<'_>) -> Option<RequestRate> {
    let parsed = text.split_once("r/").and_then(|(requests, unit)| {
        let per = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        let requests = requests.parse().ok().filter(|requests| (1..=MOST).contains(requests))?;
        Some(RequestRate { requests, per: Duration::from_secs(per) })
    });
    if parsed.is_none() {
        text.mistake(format_args!("'{}' is not a rate", text.value), RATE_HINT);
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{mistakes_in, model_in, project};
    use crate::route::{Guard, Location};

    const USERS: &str = "al:{PLAIN}a\n";

    fn text(site: &str, route: &str) -> String {
        format!(
            "[pools.php]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n{site}\n\
             [[sites.routes]]\nmatch = \"/r/\"\n{route}\n[[sites.routes]]\nmatch = \"/other/\"\n"
        )
    }

    fn guards(site: &str, route: &str) -> Vec<Option<Arc<Guard>>> {
        let project = project();
        std::fs::write(project.path().join("users"), USERS).unwrap();
        let site = model_in(project.path(), &text(site, route)).sites.remove(0);
        let of_routes = site.locations.iter().map(|location: &Location| location.settings.guard.clone());
        std::iter::once(site.settings.guard.clone()).chain(of_routes).collect()
    }

    fn mistakes(lines: &str, users: &str) -> Vec<String> {
        let project = project();
        std::fs::write(project.path().join("users"), users).unwrap();
        mistakes_in(project.path(), &text("", lines))
    }

    #[test]
    fn a_route_has_its_site_s_or_its_own_or_none() {
        let auth = "auth = { realm = \"Staff\", file = \"users\" }";
        let all = guards(auth, "");
        assert!(all.iter().all(|guard| guard.as_ref().unwrap().auth.as_ref().unwrap().realm == "Staff"));
        for off in ["auth = \"off\"", "auth = false"] {
            let all = guards(auth, off);
            assert!(all[0].is_some() && all[1].is_none() && all[2].is_some(), "{off}");
        }
        let all = guards(auth, "satisfy = \"any\"\nauth_request = \"/a.php?u=$uri\"");
        let route = all[1].as_ref().unwrap();
        assert!(route.any && route.auth.is_some() && route.asks.is_some());
        assert!(guards("", "").iter().all(Option::is_none));
    }

    #[test]
    fn routes_that_inherit_limits_share_them() {
        let all = guards(
            "limits = { rate = \"10r/m\", burst = 3 }",
            "limits = [{ connections = 2, by = \"$host\" }]",
        );
        let limits = |place: usize| all[place].as_ref().unwrap().limits.clone().unwrap();
        assert!(Arc::ptr_eq(&limits(0), &limits(2)));
        assert_eq!((limits(0).at.as_str(), limits(1).at.as_str()), ("", "/r/"));
        assert_eq!(limits(0).all[0].to_string(), "rate 10r/m, burst 3, by $remote_addr");
        assert_eq!(limits(1).all[0].to_string(), "connections 2, by $host");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_its_remedy() {
        let make = "make it: htpasswd -B -c BASE";
        for (lines, users, expected) in [
            ("auth = true", USERS, format!("9:8: auth: expected a table or \"off\", found a boolean [{AUTH_HINT}]")),
            ("auth = { realm = \"x\" }", USERS, format!("9:8: 'file' is missing [{AUTH_HINT}]")),
            ("auth = { file = \"none\" }", USERS, format!("9:17: file: BASE/none does not exist [{make}/none USER]")),
            ("auth = { file = \"users\" }", "# nobody\n", format!("9:17: file: BASE/users has no user in it [{make}/users USER]")),
            (
                "auth = { file = \"users\" }",
                "al:{PLAIN}a\nbob:rqXexS6ZhobKA\n",
                "9:17: file: BASE/users:2: user 'bob' has a DES hash, which is guessed in hours [make it anew: htpasswd -B BASE/users bob]".to_owned(),
            ),
            ("auth_request = \"auth.php\"", USERS, "9:16: auth_request: 'auth.php' is not a path of this site [auth_request = \"/auth.php\", { uri = \"/auth.php\", params = { AUTH_USER = \"X-User\" } }, or \"off\"]".to_owned()),
            ("auth_request = { uri = \"/a\", params = { A = \"X Y\" } }", USERS, "9:45: A: 'X Y' is not a header's name [AUTH_USER = \"X-User\"]".to_owned()),
            ("satisfy = \"one\"", USERS, "9:11: satisfy: unknown value 'one' [allowed: all, any]".to_owned()),
            ("limits = 10", USERS, format!("9:10: limits: expected a table, a list of tables or \"off\", found an integer [{LIMITS_HINT}]")),
            ("limits = { rate = \"10/s\" }", USERS, format!("9:19: rate: '10/s' is not a rate [{RATE_HINT}]")),
            ("limits = { rate = \"0r/s\" }", USERS, format!("9:19: rate: '0r/s' is not a rate [{RATE_HINT}]")),
            ("limits = { by = \"$host\" }", USERS, format!("9:10: limits: it limits nothing: neither rate nor connections [{LIMITS_HINT}]")),
            ("limits = { connections = 1, burst = 2 }", USERS, format!("9:29: burst needs a rate [{RATE_HINT}]")),
            ("limits = { connections = 0 }", USERS, "9:26: connections: expected a number from 1 to 1000000, found 0".to_owned()),
            ("limits = { rate = \"1r/s\", by = \"$remote_user\" }", USERS, "9:33: by: nobody is known yet where requests are counted [requests are counted before a password is looked at: \"$remote_addr\", or \"$http_authorization\"]".to_owned()),
            ("limits = { rate = \"1r/s\", brust = 2 }", USERS, "9:27: unknown key 'brust' [did you mean 'burst'?]".to_owned()),
        ] {
            assert_eq!(mistakes(lines, users), [expected], "{lines}");
        }
    }

    #[test]
    fn a_password_file_below_the_root_is_refused_where_a_client_could_ask_for_it() {
        let project = project();
        for name in ["users", ".htpasswd"] {
            std::fs::write(project.path().join("public").join(name), USERS).unwrap();
        }
        let found = |site: &str, name: &str| {
            mistakes_in(project.path(), &text(site, &format!("auth = {{ file = \"public/{name}\" }}"))).len()
        };
        let preset = "preset = \"plain\"";
        assert_eq!((found("", "users"), found("", ".htpasswd")), (1, 1));
        assert_eq!((found(preset, "users"), found(preset, ".htpasswd")), (1, 0));
    }
}
