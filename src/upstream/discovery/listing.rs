//! What a members file says: `["10.0.0.1:9000", { "address": "10.0.0.2:9000", "weight": 2, "backup": true }]`, or the same list as
//! `servers` of a table. JSON or TOML by the file's extension.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::found::{Named, spec_of};
use super::trouble::Trouble;

/// Reads the text of the file at `path`.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Named>, Trouble> {
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    let listing = match is_toml {
        true => toml::from_str::<Listing>(text).map_err(|error| {
            let (line, column) = place_of(text, error.span().map_or(0, |span| span.start));
            malformed(path, line, column, error.message())
        }),
        false => serde_json::from_str::<Listing>(text)
            .map_err(|error| malformed(path, error.line(), error.column(), &without_place(&error))),
    };
    listing.map(|listing| listing.0)
}

/// One member of JSON, as sources tell it that have a text for each.
pub(super) fn read_one(text: &str) -> Result<Named, String> {
    match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map_err(|error| error.to_string()),
        false => Ok(Named { at: spec_of(text.trim())?, weight: None, backup: None }),
    }
}

fn malformed(path: &Path, line: usize, column: usize, message: &str) -> Trouble {
    Trouble::Malformed { path: path.to_owned(), line, column, message: message.to_owned() }
}

fn place_of(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// serde_json ends its message with the place, which is told in front already.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rfind(" at line ").map_or(message.clone(), |at| message[..at].to_owned())
}

/// A list, or a table with one.
struct Listing(Vec<Named>);

impl<'de> Deserialize<'de> for Listing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wrapped {
            servers: Vec<Named>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Listing;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of servers, or a table with `servers`")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listing, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(Listing(all))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Listing, A::Error> {
                Wrapped::deserialize(MapAccessDeserializer::new(map)).map(|wrapped| Listing(wrapped.servers))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            address: Address,
            weight: Option<Weight>,
            backup: Option<bool>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Named;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a table with `address`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Named, E> {
                let at = spec_of(text).map_err(E::custom)?;
                Ok(Named { at, weight: None, backup: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Named, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                let weight = table.weight.map(|weight| weight.0);
                Ok(Named { at: table.address.0, weight, backup: table.backup })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Address(crate::config::model::EndpointSpec);

impl TryFrom<String> for Address {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        spec_of(&text).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "i64")]
struct Weight(u32);

impl TryFrom<i64> for Weight {
    type Error = String;
    fn try_from(weight: i64) -> Result<Self, String> {
        let known = u16::try_from(weight).ok().filter(|&weight| weight > 0);
        known
            .map(|weight| Self(weight.into()))
            .ok_or_else(|| format!("a weight is from 1 to 65535, not {weight}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, text: &str) -> String {
        match read(Path::new(name), text) {
            Ok(listed) => listed.iter().map(|named| format!("{named:?}\n")).collect(),
            Err(trouble) => trouble.to_string(),
        }
    }

    #[test]
    fn a_list_and_a_table_with_one_say_the_same_in_json_and_in_toml() {
        let list = r#"["10.0.0.1:9000", {"address": "fpm:9000", "weight": 2, "backup": true}, "unix:/run/f.sock", "[::1]:9000"]"#;
        let told = read(Path::new("m.json"), list).unwrap();
        assert_eq!(told.len(), 4);
        assert_eq!((told[1].weight, told[1].backup), (Some(2), Some(true)));
        assert_eq!(read(Path::new("m.json"), &format!("{{\"servers\": {list}}}")).unwrap(), told);
        let toml = "servers = [\"10.0.0.1:9000\", { address = \"fpm:9000\", weight = 2, backup = true }, \"unix:/run/f.sock\", \"[::1]:9000\"]";
        assert_eq!(read(Path::new("m.toml"), toml).unwrap(), told);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (name, text, told) in [
            ("m.json", "[\n  \"10.0.0.1:9000\",\n]", "m.json:3:1: trailing comma"),
            (
                "m.json",
                "[\"10.0.0.1:9000\",\n \"10.0.0.2\"]",
                "m.json:2:11: '10.0.0.2' is not an address such as \"10.0.0.1:9000\": it has no port",
            ),
            (
                "m.json",
                "[{\"adress\": \"a:1\"}]",
                "m.json:1:10: unknown field `adress`, expected one of `address`, `weight`, `backup`",
            ),
            (
                "m.json",
                "[{\"address\": \"a:1\", \"weight\": 0}]",
                "m.json:1:32: a weight is from 1 to 65535, not 0",
            ),
            ("m.json", "", "m.json:1:0: EOF while parsing a value"),
            (
                "m.json",
                "7",
                "m.json:1:1: invalid type: integer `7`, expected a list of servers, or a table with `servers`",
            ),
            (
                "m.toml",
                "\nservers = [\"a:1\", \"b\"]",
                "m.toml:2:19: 'b' is not an address such as \"10.0.0.1:9000\": it has no port",
            ),
            ("m.toml", "servers = [", "m.toml:1:12: unclosed array, expected `]`"),
        ] {
            assert_eq!(shown(name, text), told, "{text}");
        }
    }

    #[test]
    fn one_member_may_be_an_address_or_a_table() {
        assert_eq!(read_one("10.0.0.1:9000\n").unwrap().weight, None);
        assert_eq!(read_one(r#" {"address": "10.0.0.1:9000", "weight": 7}"#).unwrap().weight, Some(7));
        assert!(read_one("nonsense").unwrap_err().contains("no port"));
    }
}
