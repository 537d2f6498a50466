//! Presets: routes for the applications that most sites run, as TOML that a user may copy. They are read by the very
//! code that reads a user's routes; a site's own routes come before them.

use std::fmt;
use std::str::FromStr;

use toml::de::DeTable;

use crate::route::{Location, PoolId, Template};

use super::handlers::SitePool;
use super::reader::Table;
use super::report::Report;
use super::routes::{self, Around};
use super::settings;

/// A named list of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Files, and every script runs.
    Plain,
    /// Files first, then `/index.php`.
    FrontController,
    /// `/index.php/…`, routed by PATH_INFO.
    ThinkPhp,
    /// `/index.php?s=/…`.
    ThinkPhpQuery,
    /// As Laravel's documentation says.
    Laravel,
    /// Only the front controller is executable.
    Symfony,
    /// Permalinks, and nothing runs among the uploads.
    WordPress,
    /// Only the scripts that are meant to be asked for run.
    Drupal,
}

impl Preset {
    pub(super) const CHOICES: [(&str, Self); 8] = [
        ("plain", Self::Plain),
        ("front-controller", Self::FrontController),
        ("thinkphp", Self::ThinkPhp),
        ("thinkphp-query", Self::ThinkPhpQuery),
        ("laravel", Self::Laravel),
        ("symfony", Self::Symfony),
        ("wordpress", Self::WordPress),
        ("drupal", Self::Drupal),
    ];

    /// Every preset, in the order of the manual.
    pub const ALL: [Self; 8] = {
        let mut all = [Self::Plain; 8];
        let mut index = 0;
        while index < all.len() {
            all[index] = Self::CHOICES[index].1;
            index += 1;
        }
        all
    };

    /// As `preset = "…"` names it.
    pub fn name(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, preset)| *preset == self).map_or("", |(name, _)| name)
    }

    /// The routes as TOML that may be put below a `[[sites]]`.
    pub fn routes(self) -> &'static str {
        match self {
            Self::Plain => include_str!("presets/plain.toml"),
            Self::FrontController => include_str!("presets/front-controller.toml"),
            Self::ThinkPhp => include_str!("presets/thinkphp.toml"),
            Self::ThinkPhpQuery => include_str!("presets/thinkphp-query.toml"),
            Self::Laravel => include_str!("presets/laravel.toml"),
            Self::Symfony => include_str!("presets/symfony.toml"),
            Self::WordPress => include_str!("presets/wordpress.toml"),
            Self::Drupal => include_str!("presets/drupal.toml"),
        }
    }

    /// The same for a site whose scripts have other extensions than `.php`.
    pub fn routes_for(self, extensions: &[String]) -> String {
        if matches!(extensions, []) || extensions == [".php"] {
            return self.routes().to_owned();
        }
        let names: Vec<_> = extensions.iter().map(|extension| extension.trim_start_matches('.')).collect();
        self.routes().replace(r"\.php", &format!(r"\.(?:{})", names.join("|")))
    }

    /// What a folder of this preset answers with.
    pub(super) fn index(self) -> Vec<Template> {
        let read = |site: &Table<'_>| settings::read_index(site.get("index")?, &[]);
        self.read(self.routes(), read).unwrap_or_default()
    }

    /// Its locations for one site. Whether the site has a pool was checked where the site names the preset.
    pub(super) fn locations(self, around: &Around<'_>) -> Vec<Location> {
        let pool = SitePool::Chosen(around.pool.chosen().unwrap_or(PoolId(0)));
        let around = Around { pool, ..*around };
        let text = self.routes_for(&around.settings.script_extensions);
        self.read(&text, |site| Some(routes::read(site.get("routes")?, &around).locations))
            .unwrap_or_default()
    }

    fn read<T>(self, text: &str, look: impl FnOnce(&Table<'_>) -> Option<T>) -> Option<T> {
        let text = format!("[[sites]]\n{text}");
        let document = DeTable::parse(&text).ok()?;
        let report = Report::new(&text);
        let root = Table::new(&report, document.get_ref(), 0..0);
        let site = root.get("sites")?.list("a list of tables")?.first().copied()?.table()?;
        let read = look(&site);
        debug_assert_eq!(report.into_found(), [], "{self}: a preset has no mistakes");
        read
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No preset has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown preset '{0}': one of plain, front-controller, thinkphp, thinkphp-query, laravel, symfony, wordpress, drupal"
)]
pub struct UnknownPreset(String);

impl FromStr for Preset {
    type Err = UnknownPreset;
    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        let found = Self::CHOICES.iter().find(|(known, _)| *known == name);
        found.map(|(_, preset)| *preset).ok_or_else(|| UnknownPreset(name.to_owned()))
    }
}

#[cfg(test)]
mod served;
