//! The room's vCard, with its avatar (XEP-0054, XEP-0486): minted by the source, read at every instance.

use minidom::Element;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use xmpp_parsers::vcard::Binval;

use crate::address::Address;
use crate::instance::Instance;
use crate::io::Cause;
use crate::ns;
use crate::record::part;
use crate::room::roles::Affiliation;
use crate::stanza::{Condition, El, Payload, Stanza, StanzaError};

/// The vCard and its version. A part of its own: it is large, and seldom changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VCard {
    /// Version within the term of the source; 0 until there has been one.
    pub n: u64,
    /// `<vCard/>`; none if the room has none (any more).
    pub vcard: Option<Payload>,
    /// Of each of its photos (XEP-0153 §3.1).
    pub hashes: Vec<String>,
}

impl VCard {
    /// Reads a `<vCard/>`; an empty one stands for none (XEP-0486 §4.2).
    pub fn read(vcard: &Payload, n: u64) -> Result<Self, StanzaError> {
        let element = vcard.element().map_err(|_| Condition::BadRequest)?;
        if !element.is("vCard", ns::VCARD) {
            return Err(Condition::BadRequest.into());
        }
        let photos = element.children().filter(|child| child.is("PHOTO", ns::VCARD));
        let hashes = photos.filter_map(hash_of).collect::<Result<_, _>>()?;
        let empty = element.children().next().is_none();
        Ok(Self { n, vcard: (!empty).then(|| vcard.clone()), hashes })
    }

    /// As it is read: empty if there is none (XEP-0054 §3.1).
    pub fn payload(&self) -> Payload {
        self.vcard.clone().unwrap_or_else(|| El::new("vCard", ns::VCARD).payload())
    }
}

/// SHA-1 of the image in a `<PHOTO/>`, lower-case; none if there is no image.
fn hash_of(photo: &Element) -> Option<Result<String, StanzaError>> {
    let image = match xso::transform::<Binval, _>(photo.get_child("BINVAL", ns::VCARD)?) {
        Ok(binval) => binval.data,
        Err(_) => {
            return Some(Err(StanzaError::new(Condition::BadRequest).because("BINVAL must be base64.")));
        }
    };
    let hex = || Sha1::digest(&image).iter().map(|byte| format!("{byte:02x}")).collect();
    (!image.is_empty()).then(|| Ok(hex()))
}

impl Instance {
    /// A `vcard-temp` request to the room itself: anybody who may discover the room may read its vCard.
    pub(crate) fn handle_vcard(&mut self, stanza: &Stanza, vcard: &Payload) {
        if stanza.ty() == "get" {
            let held = self.room().vcard.payload();
            return self.turn.send(stanza.result().with(held));
        }
        let Some(from) = stanza.from.clone() else { return };
        match self.check_vcard(&from, vcard) {
            Err(refusal) => self.turn.refuse(stanza, refusal),
            Ok(_) if !self.is_source() => self.propose_vcard(&from, vcard, Cause::of(stanza)),
            Ok(new) => {
                self.turn.send(stanza.result());
                self.mint_vcard(new);
            }
        }
    }

    /// What an owner wants the vCard to be, with the version that it would get (XEP-0486 §4.2).
    pub(crate) fn check_vcard(&self, actor: &Address, vcard: &Payload) -> Result<VCard, StanzaError> {
        if self.affiliation(actor) < Affiliation::Owner {
            return Err(
                StanzaError::new(Condition::Forbidden).because("Only owners are allowed to set avatars.")
            );
        }
        let peers = self.room().replication.active().map(|peer| self.list_bytes_max(peer.domain()));
        let max = peers.min().map_or(self.policy.vcard_bytes_max, |max| max.min(self.policy.vcard_bytes_max));
        if vcard.as_xml().len() > max {
            let why = format!("The vCard must not be larger than {max} bytes.");
            return Err(StanzaError::new(Condition::PolicyViolation).because(why));
        }
        VCard::read(vcard, self.room().vcard.n + 1)
    }

    /// Makes a vCard the room's, with us as its source.
    pub(crate) fn mint_vcard(&mut self, new: VCard) {
        if new.vcard != self.room().vcard.vcard {
            self.adopt_vcard(new);
            self.push_vcard();
        }
    }

    /// Puts a vCard into force here, and tells everyone that something has changed (XEP-0486 §4.2).
    pub(crate) fn adopt_vcard(&mut self, new: VCard) {
        self.turn.put(part::VCARD, &new);
        self.room_mut().vcard = new;
        self.announce_statuses(&[104]);
    }
}
