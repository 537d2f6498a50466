//! The messages of php-fpm that have one likely cause, and its remedy.
//!
//! Passing STDERR on to the log is `upstream`'s (`complaints`); it adds the SCRIPT_FILENAME that was sent.

use std::fmt;

use memchr::memmem;

/// Why php-fpm refused to run a script (php-src `sapi/fpm/fpm/fpm_main.c`). Prints as advice to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownError {
    /// 404, "File not found.": nothing lies at SCRIPT_FILENAME.
    PrimaryScriptUnknown,
    /// 403, "Access denied.": the extension is not in `security.limit_extensions`.
    ExtensionNotAllowed,
    /// 403, "Access denied.": it is there, but its user may not read it.
    ScriptNotReadable,
    /// 404: it was found and could not be opened.
    NoInputFile,
}

/// What each message contains; the first that matches counts.
const MESSAGES: [(&[u8], KnownError); 5] = [
    (b"Primary script unknown", KnownError::PrimaryScriptUnknown),
    (b"(see security.limit_extensions)", KnownError::ExtensionNotAllowed),
    (b"Access denied.", KnownError::ExtensionNotAllowed),
    (b"Unable to open primary script", KnownError::NoInputFile),
    (b"No input file specified.", KnownError::NoInputFile),
];

/// The known error in a piece of STDERR, or in the short body php-fpm sends with it.
pub fn recognise(stderr: &[u8]) -> Option<KnownError> {
    let says = |message: &[u8]| memmem::find(stderr, message).is_some();
    let (_, error) = MESSAGES.iter().find(|(message, _)| says(message))?;
    match error {
        KnownError::NoInputFile if says(b"Permission denied") => Some(KnownError::ScriptNotReadable),
        error => Some(*error),
    }
}

impl fmt::Display for KnownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrimaryScriptUnknown => {
                "php-fpm finds no file at SCRIPT_FILENAME. It looks in its own file system: if it runs in another \
                 container or chroot, set backend_root to the path the document root has there"
            }
            Self::ExtensionNotAllowed => {
                "php-fpm refuses this file extension. Its pool's security.limit_extensions allows .php and .phar only, \
                 unless set: add the extension there, or take it out of script_extensions here"
            }
            Self::ScriptNotReadable => {
                "php-fpm's user may not read the script. Check the file's mode and every directory above it, for the \
                 user that the pool runs as"
            }
            Self::NoInputFile => {
                "php-fpm could not open the script. Check that SCRIPT_FILENAME is a file for php-fpm too \
                 (backend_root), and that open_basedir and doc_root allow it"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn php_fpm_s_own_messages_are_recognised() {
        let cases: [(&str, KnownError); 6] = [
            ("Primary script unknown", KnownError::PrimaryScriptUnknown),
            (
                "Access to the script '/srv/a.jpg' has been denied (see security.limit_extensions)",
                KnownError::ExtensionNotAllowed,
            ),
            ("Access denied.\n", KnownError::ExtensionNotAllowed),
            ("Unable to open primary script: /srv/a.php (Permission denied)", KnownError::ScriptNotReadable),
            (
                "Unable to open primary script: /srv/a.php (No such file or directory)",
                KnownError::NoInputFile,
            ),
            ("No input file specified.\n", KnownError::NoInputFile),
        ];
        for (message, error) in cases {
            assert_eq!(recognise(message.as_bytes()), Some(error), "{message}");
            assert_eq!(recognise(format!("PHP message: {message}\n").as_bytes()), Some(error));
        }
    }

    #[test]
    fn a_script_s_own_warnings_are_not() {
        for message in
            ["", "PHP Warning:  fopen(/srv/x): Failed to open stream: Permission denied in /srv/a.php"]
        {
            assert_eq!(recognise(message.as_bytes()), None);
        }
    }

    #[test]
    fn the_advice_for_a_missing_script_names_backend_root() {
        assert!(KnownError::PrimaryScriptUnknown.to_string().contains("backend_root"));
        assert!(KnownError::ExtensionNotAllowed.to_string().contains("security.limit_extensions"));
    }
}
