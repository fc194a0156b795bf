//! Between the library's elements and plain data.

use serde_json::Value;
use tokio_xmpp::Stanza;
use tokio_xmpp::jid::Jid;
use tokio_xmpp::minidom::Element as Tree;

use crate::element::Element;

pub(super) fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(super) fn text(command: &Value, key: &str) -> String {
    command[key].as_str().unwrap_or_default().to_owned()
}
pub(super) fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Value> {
    serde_json::from_value(value).map_err(|error| Value::from(error.to_string()))
}

pub(super) fn tree(stanza: Stanza) -> Tree {
    match stanza {
        Stanza::Iq(iq) => iq.into(),
        Stanza::Message(message) => message.into(),
        Stanza::Presence(presence) => presence.into(),
    }
}

/// An error as the iq that carries it.
pub(super) fn refusal(error: &Tree) -> Element {
    let attributes = [("type".to_owned(), "error".to_owned())].into();
    Element { name: "iq".to_owned(), attributes, children: vec![plain(error)], ..Element::default() }
}

pub(super) fn set_attr(tree: &mut Tree, name: &str, value: &str) {
    let name = tokio_xmpp::minidom::rxml::NcName::try_from(name).expect("a plain name");
    tree.set_attr(tokio_xmpp::minidom::rxml::Namespace::NONE, name, value);
}

/// A tree as plain data.
pub(super) fn plain(tree: &Tree) -> Element {
    let attributes = tree.attrs().iter().map(|((_, name), value)| (name.to_string(), value.clone()));
    Element {
        name: tree.name().to_owned(),
        namespace: tree.ns(),
        attributes: attributes.collect(),
        text: tree.text(),
        children: tree.children().map(plain).collect(),
    }
}

/// The tree of plain data.
pub(super) fn grown(element: &Element) -> Tree {
    let mut tree = Tree::bare(&element.name, &element.namespace);
    element.attributes.iter().for_each(|(name, value)| set_attr(&mut tree, name, value));
    if !element.text.is_empty() {
        tree.append_text_node(element.text.clone());
    }
    for child in &element.children {
        tree.append_child(grown(child));
    }
    tree
}
