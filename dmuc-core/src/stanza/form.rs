//! Forms that somebody is to fill in (XEP-0004).

use minidom::Element;
use minidom::rxml::{Namespace, NcName};
use xmpp_parsers::data_forms::DataForm;

use super::Payload;
use crate::ns;

impl Payload {
    /// A form to fill in, with the type of every field (XEP-0004 §3.2): there are clients which neither show nor set a
    /// field of the default type if that is left out, as [`of`](Self::of) does.
    pub fn of_form(form: &DataForm) -> Self {
        let name = NcName::try_from("type").expect("a plain name");
        let mut tree = Element::from(form.clone());
        let fields = tree.children_mut().filter(|child| child.is("field", ns::DATA));
        for field in fields.filter(|field| field.attr("type").is_none()) {
            field.set_attr(Namespace::NONE, name.clone(), "text-single");
        }
        Self::of(&tree)
    }
}
