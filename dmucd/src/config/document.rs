//! The configuration as written: sections of keys and values, each with its place.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place, suggestion};
use super::section::{Entry, Section};

/// Sections of single keys. `[[peer]]` may be there many times.
const SECTIONS: [&str; 8] =
    ["service", "contact", "component", "store", "log", "limits", "rates", "defaults"];
/// Variables of this prefix belong to the tests of the workspace.
const TESTS: &str = "TEST_";

/// A file with the environment over it.
#[derive(Default)]
pub(super) struct Document<'t> {
    sections: BTreeMap<String, BTreeMap<String, Entry<'t>>>,
    peers: Vec<(Place, BTreeMap<String, Entry<'t>>)>,
    /// What is wrong so far.
    pub mistakes: Vec<Mistake>,
    /// The keys that were looked for.
    pub known: Vec<String>,
}

impl<'t> Document<'t> {
    /// Reads TOML; whatever can be read of a broken file is read.
    pub fn parse(text: &'t str) -> Self {
        let mut document = Self::default();
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let place = error.span().map_or(Place::File, |span| line(text, span.start));
            document.mistake(place, "", format!("not TOML: {}", error.message()));
        }
        for (key, value) in root.into_inner() {
            document.take_section(text, &key, value);
        }
        document
    }

    fn take_section(
        &mut self,
        text: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: Spanned<DeValue<'t>>,
    ) {
        let (name, place) = (key.get_ref().as_ref(), line(text, key.span().start));
        match (name, value.into_inner()) {
            ("peer", DeValue::Array(peers)) => peers.into_iter().for_each(|peer| self.take_peer(text, peer)),
            ("peer", _) => self.mistake(place, name, "peers are written as `[[peer]]`".into()),
            (name, DeValue::Table(table)) if SECTIONS.contains(&name) => {
                self.sections.insert(name.to_owned(), entries(text, table));
            }
            (name, DeValue::Table(_)) => {
                let hint = suggestion(name, SECTIONS.into_iter().chain(["peer"]));
                self.mistake(place, name, format!("there is no such section{hint}"));
            }
            _ => self.mistake(place, name, "a key outside of any section".into()),
        }
    }

    fn take_peer(&mut self, text: &str, peer: Spanned<DeValue<'t>>) {
        let place = line(text, peer.span().start);
        match peer.into_inner() {
            DeValue::Table(table) => self.peers.push((place, entries(text, table))),
            _ => self.mistake(place, "peer", "a peer is a table".into()),
        }
    }

    /// Lays variables `DMUC_<SECTION>_<KEY>` over the file.
    pub fn overlay(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix("DMUC_").filter(|path| !path.starts_with(TESTS)) else {
                continue;
            };
            let path = path.to_ascii_lowercase().replace('_', "-");
            match SECTIONS
                .iter()
                .find_map(|section| Some((*section, path.strip_prefix(section)?.strip_prefix('-')?)))
            {
                Some((section, key)) => {
                    let entry = Entry::variable(Place::Variable(name.clone()), value);
                    self.sections.entry(section.to_owned()).or_default().insert(key.to_owned(), entry);
                }
                None => self.mistake(Place::Variable(name), "", "names no section and key".into()),
            }
        }
    }

    /// Opens a section for reading; it is empty if nobody wrote it.
    pub fn section(&mut self, name: &'static str) -> Section<'_, 't> {
        let entries = self.sections.remove(name).unwrap_or_default();
        Section::new(name, Place::File, entries, &mut self.mistakes, &mut self.known)
    }

    /// Opens the next peer for reading.
    pub fn next_peer(&mut self) -> Option<Section<'_, 't>> {
        let next = (!self.peers.is_empty()).then(|| self.peers.remove(0));
        next.map(|(place, entries)| Section::new("peer", place, entries, &mut self.mistakes, &mut self.known))
    }

    fn mistake(&mut self, place: Place, key: &str, message: String) {
        self.mistakes.push(Mistake { place, key: key.to_owned(), message });
    }
}

fn entries<'t>(text: &str, table: DeTable<'t>) -> BTreeMap<String, Entry<'t>> {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, _)| {
        let place = line(text, key.span().start);
        (key.get_ref().replace('_', "-"), Entry::written(place, value))
    };
    table.into_iter().map(entry).collect()
}

fn line(text: &str, at: usize) -> Place {
    Place::Line(1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count())
}
