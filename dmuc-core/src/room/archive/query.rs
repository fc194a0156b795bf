//! What a query asks for: its form (XEP-0313 §4.1) and its page (§4.4, XEP-0059).

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};
use xmpp_parsers::data_forms_validate::{Datatype, Method, Validate};
use xmpp_parsers::mam::Query;
use xmpp_parsers::rsm::SetQuery;

use crate::address::Address;
use crate::clock::Millis;
use crate::event::EventId;
use crate::instance::Instance;
use crate::nick::Nick;
use crate::ns;
use crate::stanza::{Condition, El, Payload, StanzaError};
use crate::storage::ArchiveQuery;

/// Entries of a page if no number is asked for.
const PAGE: u32 = 50;

impl Instance {
    /// A query as the store takes it.
    pub(super) fn archive_query(&self, asker: &Address, asked: &Query) -> Result<ArchiveQuery, StanzaError> {
        // There are no nodes but in archives of publish-subscribe (XEP-0313 §6.1.3).
        if asked.node.is_some() {
            return Err(Condition::ItemNotFound.into());
        }
        let mut query = ArchiveQuery::default();
        if let Some(form) = &asked.form {
            self.read_filters(asker, form, &mut query)?;
        }
        query.start = query.start.max(self.archive_horizon());
        query.max = self.policy.archive_page_max.min(PAGE);
        if let Some(set) = &asked.set {
            read_page(set, self.policy.archive_page_max, &mut query)?;
        }
        Ok(query)
    }

    fn read_filters(
        &self,
        asker: &Address,
        form: &DataForm,
        query: &mut ArchiveQuery,
    ) -> Result<(), StanzaError> {
        if form.type_ != DataFormType::Submit || form.form_type() != Some(ns::MAM) {
            return Err(Condition::BadRequest.into());
        }
        // Names decide before values do: who asks for what is not known here learns that.
        let known =
            |field: &Field| field.var.as_deref().is_some_and(|var| var == "FORM_TYPE" || is_known(var));
        if !form.fields.iter().all(known) {
            return Err(Condition::FeatureNotImplemented.into());
        }
        for field in form.fields.iter().filter(|field| !field.values.is_empty()) {
            match field.var.as_deref() {
                Some("ids") => {
                    query.ids = Some(field.values.iter().map(|id| entry(id)).collect::<Result<_, _>>()?);
                }
                Some(var) => self.read_filter(asker, var, single(field)?, query)?,
                None => {}
            }
        }
        Ok(())
    }

    fn read_filter(
        &self,
        asker: &Address,
        var: &str,
        value: &str,
        query: &mut ArchiveQuery,
    ) -> Result<(), StanzaError> {
        match var {
            "with" => self.read_with(asker, value, query)?,
            "start" => query.start = Some(time(value)?),
            "end" => query.end = Some(time(value)?),
            "after-id" => query.after_id = Some(entry(value)?),
            "before-id" => query.before_id = Some(entry(value)?),
            "include-groupchat" => match value {
                "true" | "1" => {}
                // All that is here was said to the group.
                "false" | "0" => query.ids = Some(Vec::new()),
                _ => return Err(Condition::BadRequest.into()),
            },
            _ => {}
        }
        Ok(())
    }

    /// By speaker (XEP-0313 §4.1.1): an occupant, by whatever nick it had then; the room, which is everybody; a user,
    /// for those who may know, of whom the archive knows the bare JID.
    fn read_with(&self, asker: &Address, with: &str, query: &mut ArchiveQuery) -> Result<(), StanzaError> {
        let with = Address::parse(with).map_err(|_| Condition::BadRequest)?;
        if with.bare_str() == self.jid.as_str() {
            query.nick = with.resource().map(Nick::parse).transpose().map_err(|_| Condition::BadRequest)?;
            return Ok(());
        }
        if with.bare_str() != asker.bare_str() && !self.sees_real_jids(asker) {
            return Err(StanzaError::new(Condition::Forbidden).because("Who it was is not yours to know."));
        }
        if with.is_bare() {
            query.oid = Some(self.occupant_id(&with));
        } else {
            query.ids = Some(Vec::new());
        }
        Ok(())
    }
}

/// The page within what the filters select; ids that are none of ours name no entry.
fn read_page(set: &SetQuery, max: u32, query: &mut ArchiveQuery) -> Result<(), StanzaError> {
    if let Some(wanted) = set.max {
        query.max = u32::try_from(wanted).unwrap_or(u32::MAX).min(max);
    }
    query.after = set.after.as_deref().map(entry).transpose()?;
    query.last = set.before.is_some();
    query.before = set.before.as_deref().filter(|id| !id.is_empty()).map(entry).transpose()?;
    query.index = set.index.map(|index| index as u64);
    Ok(())
}

fn entry(id: &str) -> Result<EventId, StanzaError> {
    id.parse().map_err(|_| Condition::ItemNotFound.into())
}

fn time(stamp: &str) -> Result<Millis, StanzaError> {
    Millis::from_stamp(stamp).ok_or_else(|| Condition::BadRequest.into())
}

fn single(field: &Field) -> Result<&str, StanzaError> {
    match field.values.as_slice() {
        [value] => Ok(value),
        _ => Err(Condition::BadRequest.into()),
    }
}

/// The fields of a query, in the order of XEP-0313 §4.1.5.
const FIELDS: [(&str, FieldType); 7] = [
    ("with", FieldType::JidSingle),
    ("start", FieldType::TextSingle),
    ("end", FieldType::TextSingle),
    ("before-id", FieldType::TextSingle),
    ("after-id", FieldType::TextSingle),
    ("ids", FieldType::ListMulti),
    ("include-groupchat", FieldType::Boolean),
];

fn is_known(var: &str) -> bool {
    FIELDS.iter().any(|(known, _)| *known == var)
}

/// The fields that a query may have (XEP-0313 §4.1.5).
pub(super) fn form() -> Payload {
    let field = |(var, ty): (&str, FieldType)| {
        let open =
            Validate { datatype: Some(Datatype::String), method: Some(Method::Open), list_range: None };
        Field { validate: (ty == FieldType::ListMulti).then_some(open), ..Field::new(var, ty) }
    };
    let fields = FIELDS.into_iter().map(field).collect();
    let form = DataForm::new(DataFormType::Form, ns::MAM, fields);
    El::new("query", ns::MAM).payload_child(&Payload::of_form(&form)).payload()
}
