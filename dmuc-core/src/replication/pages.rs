//! Long lists in stanzas that every peer takes.

use crate::instance::Instance;
use crate::stanza::El;

/// What a stanza needs besides its list.
const FRAME_BYTES: usize = 2_048;

impl Instance {
    /// What a list in one stanza for a peer may hold, in bytes.
    pub(crate) fn list_bytes_max(&self, domain: &str) -> usize {
        (self.bytes_max(domain) as usize).saturating_sub(FRAME_BYTES).max(FRAME_BYTES)
    }

    /// Splits a list so that each part fits into a stanza for a peer; an empty list is one empty part.
    pub(crate) fn pages(&self, domain: &str, items: impl IntoIterator<Item = El>) -> Vec<Vec<El>> {
        let max = self.list_bytes_max(domain);
        let (mut pages, mut filled) = (vec![Vec::new()], 0);
        for item in items {
            let bytes = item.bytes();
            if filled + bytes > max && filled > 0 {
                pages.push(Vec::new());
                filled = 0;
            }
            filled += bytes;
            pages.last_mut().expect("there is always one").push(item);
        }
        pages
    }
}
