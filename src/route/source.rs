//! Names that look like a script's source, under any spelling that an editor, a backup or an attacker gives them. Such
//! a file is never sent.

use smallvec::SmallVec;

/// What php may be told to run, or what scripts include.
const EXTENSIONS: &[&[u8]] = &[
    b".php", b".phtml", b".phps", b".php3", b".php4", b".php5", b".php6", b".php7", b".php8", b".pht",
    b".phar", b".inc",
];

/// What editors, patch and people put behind a name when they keep an old copy.
const BACKUPS: &[&[u8]] = &[
    b".bak", b".backup", b".old", b".orig", b".save", b".swp", b".swo", b".swn", b".tmp", b".rej", b".copy",
    b",v", b"::$data",
];

/// Whether a file of that name may hold the source of a script. A real extension behind `.php` makes it something
/// else (`jquery.php.js`).
pub fn is_source(name: &[u8]) -> bool {
    // One pass that the compiler makes of whole registers, and on the stack: cheaper than 25 comparisons of either case.
    let mut lower: SmallVec<[u8; 64]> = SmallVec::from_slice(name);
    lower.make_ascii_lowercase();
    let mut name = lower.as_slice();
    loop {
        if EXTENSIONS.iter().any(|extension| name.ends_with(extension)) {
            return true;
        }
        match without_ending(name) {
            Some(shorter) => name = shorter,
            None => return false,
        }
    }
}

fn without_ending(name: &[u8]) -> Option<&[u8]> {
    if let Some(shorter) = BACKUPS.iter().find_map(|backup| name.strip_suffix(*backup)) {
        return Some(shorter);
    }
    match name {
        // x.php%00, encoded twice
        [shorter @ .., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            Some(shorter)
        }
        [shorter @ .., b'.' | b'~' | b'#' | b'/' | b'\\' | b'\0'..=b' ' | 0x7f..=0xff] => Some(shorter),
        // x.php.save.1, x.php.~2~
        [shorter @ .., b'0'..=b'9'] => without_number(shorter),
        _ => None,
    }
}

fn without_number(name: &[u8]) -> Option<&[u8]> {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    name[..name.len() - digits].strip_suffix(b".").or_else(|| name[..name.len() - digits].strip_suffix(b"~"))
}

#[cfg(test)]
mod tests {
    use super::is_source;

    #[test]
    fn source_is_known_under_any_spelling() {
        for name in [
            "x.php",
            "X.PHP",
            "x.pHp",
            "x.php.",
            "x.php...",
            "x.php ",
            "x.php~",
            "x.php%00",
            "x.php%20%00",
            "x.php\0",
            "x.php\n",
            "x.php\u{a0}",
            "x.phtml",
            "x.phps",
            "x.php3",
            "x.php5",
            "x.PHP8",
            "x.pht",
            "x.phar",
            "x.inc",
            "x.php.bak",
            "x.php.swp",
            ".x.php.swp",
            "x.php.old",
            "x.php.orig",
            "x.php.save",
            "x.php.save.1",
            "#x.php#",
            ".#x.php",
            "x.php.~1~",
            "x.php.1",
            "x.php,v",
            "x.php::$DATA",
            "x.php\\",
            "x.php/",
            "x.php.bak.old~",
            ".php",
            "x.inc.bak",
        ] {
            assert!(is_source(name.as_bytes()), "{name:?}");
        }
    }

    #[test]
    fn other_files_are_not_taken_for_source() {
        for name in [
            "jquery.php.js",
            "x.php.txt",
            "a.jpg",
            "php",
            "xphp",
            "x.phpx",
            "x.bak",
            "data.1",
            "中.png",
            "x.include",
            "incoming",
            "photo~",
            "",
            ".",
            "%00",
            "x.php-logo.svg",
        ] {
            assert!(!is_source(name.as_bytes()), "{name:?}");
        }
    }
}
