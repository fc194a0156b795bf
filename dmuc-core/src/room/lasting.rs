//! What of a conversation is worth keeping (XEP-0313 §6.1.2), and what of that is shown to those who join.

use crate::ns;
use crate::room::message::is_subject_change;
use crate::stanza::Payload;

/// Whether a groupchat's content goes into the log, and so into archives; the rest is delivered in passing. The same
/// at every instance.
///
/// The sender's hints decide (XEP-0334 §4), except over what the room itself lives by: its subject, and what takes
/// messages back (XEP-0424 §5). Without hints everything is kept but what says how things stand at the moment.
#[must_use]
pub(crate) fn lasts(content: &[Payload]) -> bool {
    let has = |name, ns| content.iter().any(|child| child.is(name, ns));
    if is_subject_change(content) || has("retract", ns::RETRACT) {
        return true;
    }
    if has("no-store", ns::HINTS) || has("no-permanent-store", ns::HINTS) {
        return false;
    }
    has("store", ns::HINTS) || !content.iter().all(is_momentary)
}

/// Typing, receipts (XEP-0184: of use only to who is there), and what goes along with something else. Displayed markers
/// are no such thing: they are asked for later (XEP-0333 §2).
fn is_momentary(child: &Payload) -> bool {
    let along = child.is("thread", ns::STANZA) || child.is("markable", ns::MARKERS);
    along
        || matches!(
            child.ns(),
            ns::CHAT_STATES | ns::HINTS | ns::RECEIPTS | ns::SID | ns::DELAY | ns::FALLBACK
        )
}

/// Whether content is part of the discussion that those who join are shown: what was said, not what changed the
/// subject (XEP-0045 §7.2.13) or was remarked about something said.
#[must_use]
pub(crate) fn is_discussion(content: &[Payload]) -> bool {
    let has_body = content.iter().any(|child| child.is("body", ns::STANZA));
    let remarks = content.iter().any(|child| matches!(child.ns(), ns::REACTIONS | ns::MARKERS));
    !is_subject_change(content) && (has_body || !remarks)
}
