//! Every feature of rooms, played from one table at a source and at a shadow: who uses it cannot tell which of them
//! serves the room (docs/features.md).
#![allow(missing_docs, clippy::unwrap_used)]

mod activity;
mod archive;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod entry;
mod forms;
mod hats;
mod identity;
mod information;
mod invitations;
mod lasting;
mod leaving;
mod limits;
mod lists;
mod moderation;
mod occupant_iq;
mod operator;
mod options;
mod presence;
mod refusals;
mod registration;
mod retraction;
mod stage;
mod subscriptions;
mod vcard;
mod versions;
mod voice;
mod whispers;
