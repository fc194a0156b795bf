//! Bytes to stanzas and back: limits before trees, one serialisation for many recipients.
