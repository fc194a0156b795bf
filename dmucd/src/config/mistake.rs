//! What is wrong with a configuration, said so that it can be mended.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the file, from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
    /// Nowhere: it is missing.
    File,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// The key as `section.key`; empty if the text is no TOML at this place.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    /// The file that was read.
    pub file: PathBuf,
    /// The mistakes, in the order of the file. Never empty.
    pub all: Vec<Mistake>,
}

impl Mistake {
    /// The mistake on one line, as `file:12: service.domain: what is wrong`.
    #[must_use]
    pub fn on_line(&self, file: &std::path::Path) -> String {
        let place = match &self.place {
            Place::Line(line) => format!("{}:{line}", file.display()),
            Place::Variable(name) => format!("environment variable {name}"),
            Place::File => file.display().to_string(),
        };
        match self.key.as_str() {
            "" => format!("{place}: {}", self.message),
            key => format!("{place}: {key}: {}", self.message),
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.all.iter().map(|mistake| mistake.on_line(&self.file)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// `, did you mean ...?` if one of `known` is near what was written.
pub(super) fn suggestion<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = known.into_iter().map(|key| (strsim::damerau_levenshtein(written, key), key)).min();
    match nearest {
        Some((distance, key)) if distance <= 1 + key.len() / 3 => format!(", did you mean `{key}`?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(suggestion("adnins", ["admins", "domain"]), ", did you mean `admins`?");
        assert_eq!(suggestion("colour", ["admins", "domain"]), "");
    }
}
