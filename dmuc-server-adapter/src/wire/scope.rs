//! Namespace declarations in scope (Namespaces in XML 1.0).

use dmuc_core::ns::XML;
use rxml::RawQName;

/// A prefix that nothing declares, or an attribute given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotWellFormed;

#[derive(Debug)]
struct Declaration {
    depth: usize,
    /// Empty for the default namespace.
    prefix: Box<str>,
    uri: Box<str>,
}

/// The declarations of all open elements, innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    declared: Vec<Declaration>,
}

/// One attribute with its namespace resolved: (namespace, name, value).
pub(super) type Flat<'a> = (&'a str, &'a str, &'a str);

fn declared_prefix(name: &RawQName) -> Option<&str> {
    match &name.0 {
        Some(prefix) if prefix == "xmlns" => Some(name.1.as_str()),
        None if name.1 == "xmlns" => Some(""),
        _ => None,
    }
}

impl Scopes {
    /// Takes the declarations out of the attributes of the element at `depth`; the others stay.
    pub(super) fn declare(
        &mut self,
        depth: usize,
        attributes: &mut Vec<(RawQName, String)>,
    ) -> Result<(), NotWellFormed> {
        let first = self.declared.len();
        for (name, uri) in attributes.iter_mut() {
            let Some(prefix) = declared_prefix(name) else { continue };
            if self.declared[first..].iter().any(|other| *other.prefix == *prefix) {
                return Err(NotWellFormed);
            }
            self.declared.push(Declaration { depth, prefix: prefix.into(), uri: std::mem::take(uri).into() });
        }
        if self.declared.len() > first {
            attributes.retain(|(name, _)| declared_prefix(name).is_none());
        }
        Ok(())
    }

    /// Forgets what was declared deeper than `depth`.
    pub(super) fn leave(&mut self, depth: usize) {
        let keep = self.declared.partition_point(|declaration| declaration.depth <= depth);
        self.declared.truncate(keep);
    }

    /// How many declarations are in scope.
    pub(super) fn len(&self) -> usize {
        self.declared.len()
    }

    fn find(&self, prefix: &str) -> Option<&str> {
        self.declared.iter().rev().find(|declaration| *declaration.prefix == *prefix).map(|found| &*found.uri)
    }

    /// The namespace of an element.
    pub(super) fn element(&self, name: &RawQName) -> Result<&str, NotWellFormed> {
        match &name.0 {
            None => Ok(self.find("").unwrap_or("")),
            Some(prefix) => self.prefixed(prefix.as_str()),
        }
    }

    fn prefixed(&self, prefix: &str) -> Result<&str, NotWellFormed> {
        if prefix == "xml" { Ok(XML) } else { self.find(prefix).ok_or(NotWellFormed) }
    }

    /// The attributes with their namespaces resolved.
    pub(super) fn attributes<'a>(
        &'a self,
        attributes: &'a [(RawQName, String)],
    ) -> Result<Vec<Flat<'a>>, NotWellFormed> {
        let mut flat: Vec<Flat<'a>> = Vec::with_capacity(attributes.len());
        for ((prefix, name), value) in attributes {
            let ns = prefix.as_ref().map_or(Ok(""), |prefix| self.prefixed(prefix.as_str()))?;
            let name = name.as_str();
            if flat.iter().any(|(other_ns, other, _)| *other == name && *other_ns == ns) {
                return Err(NotWellFormed);
            }
            flat.push((ns, name, value));
        }
        Ok(flat)
    }
}
