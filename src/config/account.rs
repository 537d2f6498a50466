//! `user` and `group`: who cornac is once its sockets are open. nginx: `user`.

use nix::unistd::{Group, User};

use super::model::Account;
use super::reader::{Node, Table};

/// Looks both up, so that a name that nobody has is told by `cornac check`.
pub(super) fn read(table: &Table<'_>) -> Option<Account> {
    let (user, group) = (table.get("user"), table.get("group"));
    let Some(user) = user else {
        if let Some(group) = group {
            group.mistake("it goes with a user", "user = \"www-data\"");
        }
        return None;
    };
    let text = user.text();
    let found = text.and_then(|text| match User::from_name(text.value) {
        Ok(Some(found)) => Some(found),
        Ok(None) => {
            text.mistake(
                format_args!("there is no user '{}' here", text.value),
                "`getent passwd` lists them",
            );
            None
        }
        Err(error) => {
            text.mistake(format_args!("'{}' cannot be looked up: {error}", text.value), None);
            None
        }
    });
    let named = group.map(group_of);
    let user = found?;
    let gid = named.map_or(Some(user.gid.as_raw()), |gid| gid)?;
    Some(Account { name: user.name, uid: user.uid.as_raw(), gid })
}

fn group_of(node: Node<'_>) -> Option<u32> {
    let text = node.text()?;
    match Group::from_name(text.value) {
        Ok(Some(group)) => return Some(group.gid.as_raw()),
        Ok(None) => {
            text.mistake(
                format_args!("there is no group '{}' here", text.value),
                "`getent group` lists them",
            );
        }
        Err(error) => text.mistake(format_args!("'{}' cannot be looked up: {error}", text.value), None),
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::model::Account;
    use crate::config::testing::{model_in, project};

    fn account(lines: &str) -> Option<Account> {
        let text = format!("[server]\n{lines}\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n");
        model_in(project().path(), &text).server.account
    }

    #[test]
    fn a_user_brings_the_own_group_unless_another_is_named() {
        let root = Account { name: "root".to_owned(), uid: 0, gid: 0 };
        assert_eq!(account("user = \"root\""), Some(root));
        let own = account("user = \"nobody\"").expect("every system has one");
        let other = account("user = \"nobody\"\ngroup = \"root\"").expect("both are there");
        assert_eq!((other.uid, other.gid), (own.uid, 0));
        assert_eq!(account(""), None);
    }
}
