//! What owners and sources can count on.
