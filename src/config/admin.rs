//! `[admin]`: where the operator is listened to, and who that is.

use std::path::Path;

use super::endpoints;
use super::model::{Admin, Listen, Site};
use super::reader::{Node, Table};
use super::secret::Secret;
use super::values;

const TOKEN_HINT: &str = "token = { env = \"CORNAC_ADMIN_TOKEN\" } or { file = \"admin.token\" }";

/// Reads `[admin]`; without it nobody is listened to.
pub(super) fn read(root: &Table<'_>, sites: &[Site], base: &Path) -> Option<Admin> {
    let table = root.table("admin")?;
    let node = table.required("listen", "listen = \"127.0.0.1:9180\"");
    let token_node = table.get("token");
    let token = token_node.and_then(|token| read_token(token, TOKEN_HINT, base));
    let listen = node.and_then(|node| {
        let listen = endpoints::listen(&node.text()?, base)?;
        if token_node.is_none() && !is_private(&listen) {
            let hint = format!("add {TOKEN_HINT}, or listen on 127.0.0.1 only");
            node.mistake("whoever reaches this address could take servers out: it needs a token", hint);
        }
        if sites.iter().any(|site| site.listen.contains(&listen)) {
            node.mistake("a site listens there already", "choose another port, such as 9180");
        }
        Some(listen)
    });
    table.finish(&[]);
    Some(Admin { listen: listen?, token })
}

/// Reached by this machine's own users only.
fn is_private(listen: &Listen) -> bool {
    match listen {
        Listen::Tcp(address) => address.ip().is_loopback(),
        Listen::Unix(_) => true,
    }
}

/// `{ env = "NAME" }` or `{ file = "path" }`: not the word itself, because configurations are shown around.
pub(super) fn read_token(token: Node<'_>, hint: &str, base: &Path) -> Option<Secret> {
    if !token.is_table() {
        token.mistake("the token itself does not belong into this file", hint);
        return None;
    }
    let table = token.table()?;
    let secret = match (table.get("env"), table.get("file")) {
        (Some(name), None) => from_environment(name),
        (None, Some(path)) => from_file(path, base),
        _ => {
            token.mistake("either `env` or `file`", hint);
            None
        }
    };
    table.finish(&[]);
    secret
}

fn from_environment(node: Node<'_>) -> Option<Secret> {
    let name = node.text()?;
    let valid = !name.is_empty() && !name.contains(['=', '\0']);
    match std::env::var(name.value).ok().filter(|_| valid) {
        Some(word) => secret(node, &word, &format!("the environment variable {}", name.value)),
        None => {
            let hint = "set it where cornac is started, or use { file = \"…\" }";
            node.mistake(format_args!("the environment variable {} is not set", name.value), hint);
            None
        }
    }
}

fn from_file(node: Node<'_>, base: &Path) -> Option<Secret> {
    let path = values::path(base, &node.text()?);
    match std::fs::read_to_string(&path) {
        Ok(word) => secret(node, &word, &path.display().to_string()),
        Err(error) => {
            let hint = format!("make it: openssl rand -hex 24 > {}", path.display());
            node.mistake(format_args!("{} {}", path.display(), values::reason(&error)), hint);
            None
        }
    }
}

/// It travels in a header, so it is one line of visible characters.
fn secret(node: Node<'_>, word: &str, from: &str) -> Option<Secret> {
    let word = word.trim();
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        let hint = "one word of visible ASCII characters; openssl rand -hex 24 makes one";
        node.mistake(format_args!("{from} holds no token"), hint);
        return None;
    }
    Some(Secret::new(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{mistakes_in, model_in, project};

    const SITE: &str = "[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n";

    fn admin(lines: &str) -> Option<Admin> {
        let project = project();
        std::fs::write(project.path().join("token"), "open-sesame\n").unwrap();
        model_in(project.path(), &format!("{lines}\n{SITE}")).admin
    }

    fn mistakes(lines: &str) -> Vec<String> {
        let project = project();
        std::fs::write(project.path().join("token"), "open-sesame\n").unwrap();
        std::fs::write(project.path().join("empty"), "\n").unwrap();
        mistakes_in(project.path(), &format!("[admin]\n{lines}\n{SITE}"))
    }

    #[test]
    fn nobody_is_listened_to_unless_it_is_asked_for() {
        assert!(admin("").is_none());
    }

    #[test]
    fn this_machines_own_users_need_no_token() {
        for listen in ["127.0.0.1:9180", "[::1]:9180", "localhost:9180", "unix:/run/cornac.sock"] {
            let admin = admin(&format!("[admin]\nlisten = \"{listen}\"")).unwrap();
            assert!(admin.token.is_none(), "{listen}");
        }
    }

    #[test]
    fn a_token_is_read_from_where_it_lies() {
        let from_file = admin("[admin]\nlisten = \":9180\"\ntoken = { file = \"token\" }").unwrap();
        assert!(from_file.token.unwrap().is(b"open-sesame"));
        let home = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        let from_env =
            admin("[admin]\nlisten = \":9180\"\ntoken = { env = \"CARGO_MANIFEST_DIR\" }").unwrap();
        assert!(from_env.token.unwrap().is(home.as_bytes()));
    }

    #[test]
    fn every_mistake_has_its_place_and_remedy() {
        for (lines, expected) in [
            (
                "listen = \"0.0.0.0:9180\"",
                "2:10: listen: whoever reaches this address could take servers out: it needs a token [add \
                 token = { env = \"CORNAC_ADMIN_TOKEN\" } or { file = \"admin.token\" }, or listen on 127.0.0.1 only]",
            ),
            ("", "1:1: 'listen' is missing [listen = \"127.0.0.1:9180\"]"),
            (
                "listen = \"0.0.0.0:80\"\ntoken = { file = \"token\" }",
                "2:10: listen: a site listens there already [choose another port, such as 9180]",
            ),
            (
                "listen = \":9180\"\ntoken = \"open-sesame\"",
                "3:9: token: the token itself does not belong into this file [token = { env = \
                 \"CORNAC_ADMIN_TOKEN\" } or { file = \"admin.token\" }]",
            ),
            (
                "listen = \":9180\"\ntoken = { env = \"CORNAC_NO_SUCH\" }",
                "3:17: env: the environment variable CORNAC_NO_SUCH is not set [set it where cornac is started, \
                 or use { file = \"…\" }]",
            ),
            (
                "listen = \":9180\"\ntoken = { file = \"nowhere\" }",
                "3:18: file: BASE/nowhere does not exist [make it: openssl rand -hex 24 > BASE/nowhere]",
            ),
            (
                "listen = \":9180\"\ntoken = { file = \"empty\" }",
                "3:18: file: BASE/empty holds no token [one word of visible ASCII characters; openssl rand -hex \
                 24 makes one]",
            ),
            (
                "listen = \":9180\"\ntoken = {}",
                "3:9: token: either `env` or `file` [token = { env = \"CORNAC_ADMIN_TOKEN\" } or { file = \
                 \"admin.token\" }]",
            ),
            ("listen = \"127.0.0.1:9180\"\ntokem = 1", "3:1: unknown key 'tokem' [did you mean 'token'?]"),
        ] {
            assert_eq!(mistakes(lines), [expected], "{lines}");
        }
    }
}
