//! Whether a backend keeps the promises of [`Room`](super::Room), [`HistoryStore`](super::HistoryStore) and
//! [`PeerPolicy`](super::PeerPolicy).
//!
//! A store crate says how a fresh store is made, and gets one test per promise:
//!
//! ```ignore
//! use dmuc_core::storage::conformance::Builder;
//!
//! #[derive(Default)]
//! struct MyBuilder;
//!
//! #[async_trait::async_trait]
//! impl Builder for MyBuilder {
//!     type Store = MyStore;
//!     type Guard = tempfile::TempDir;
//!
//!     async fn build(&self) -> (MyStore, tempfile::TempDir) {
//!         let dir = tempfile::tempdir().unwrap();
//!         (MyStore::open(dir.path()).await.unwrap(), dir)
//!     }
//! }
//!
//! dmuc_core::suite!(MyBuilder);
//! ```
//!
//! The tests run under tokio, which the store crate needs among its dev-dependencies with `macros` and `rt`; the core
//! itself does without. Each case has a store of its own and panics at the first broken promise.

pub mod archive;
pub mod commits;
pub mod directory;
mod fixture;
pub mod frontier;
pub mod leases;
pub mod listing;
pub mod logs;
pub mod moderation;
pub mod nodes;
pub mod peers;
pub mod recent;
pub mod restart;
pub mod rooms;
pub mod transfer;

use async_trait::async_trait;

use super::Transfer;

/// How the suite gets its stores.
#[async_trait]
pub trait Builder: Default + Send + Sync {
    /// The store under test.
    type Store: Transfer;
    /// Kept until the case is over: its `Drop` cleans up.
    type Guard: Send + Sync;

    /// A fresh, empty store.
    async fn build(&self) -> (Self::Store, Self::Guard);

    /// The same store after a restart of the process: closes `store` and opens what it left behind.
    ///
    /// `None`, the default, says that this store does not outlive its process; the cases of [`restart`] then have
    /// nothing to check.
    async fn reopen(&self, store: Self::Store, guard: &Self::Guard) -> Option<Self::Store> {
        let _ = (store, guard);
        None
    }

    /// The same store as another node opens it, while this one has it open.
    ///
    /// `None`, the default, says that only one process uses such a store; cases that need two nodes then have nothing to
    /// check.
    async fn second(&self, store: &Self::Store, guard: &Self::Guard) -> Option<Self::Store> {
        let _ = (store, guard);
        None
    }
}

/// Expands to one `#[tokio::test]` for each case of the suite, in modules named after its parts.
///
/// Takes the type of a [`Builder`](crate::storage::conformance::Builder). Use it at most once in a module.
#[macro_export]
macro_rules! suite {
    ($builder:ty) => {
        $crate::conformance_tests! { $builder;
            rooms: an_unknown_address_is_vacant, a_created_room_is_found, parts_are_set_replaced_and_dropped,
                an_occupied_address_refuses_another_room, a_room_has_one_address, only_a_creation_makes_a_room,
                a_creation_needs_revision_zero, destroying_removes_everything, a_tombstone_blocks_and_then_frees,
                a_blocking_tombstone_refuses_creations, without_a_tombstone_the_address_is_vacant,
                a_room_created_again_starts_empty, names_and_parts_mean_nothing_to_the_store, large_parts_are_kept,
                rooms_are_apart;
            commits: revisions_count_the_commits, another_revision_changes_nothing, a_lower_fence_changes_nothing,
                a_refused_commit_leaves_the_others, a_refusal_undoes_what_came_before_it, changes_apply_in_order,
                of_two_at_one_revision_one_wins, parallel_commits_of_rooms_all_succeed,
                parallel_commits_of_one_room_are_decided, nothing_gives_nothing, a_long_slice_is_made,
                a_long_commit_is_made;
            leases: a_free_lease_is_taken, a_held_lease_refuses_others, the_holder_may_take_it_again,
                an_expired_lease_is_taken_over, a_renewed_lease_holds_longer, a_lost_lease_cannot_be_renewed,
                a_lease_given_back_is_free, giving_back_a_lost_lease_changes_nothing, leases_are_apart,
                fences_outlive_the_room, leases_are_renewed_together, the_holder_learns_who_wants_it,
                abandoned_rooms_are_found;
            logs: every_field_of_an_entry_is_kept, appending_again_changes_nothing, an_id_names_one_position,
                an_id_names_one_position_within_a_slice, a_refused_slice_appends_nothing, ids_are_apart_by_room,
                ranges_ascend_within_limits, an_inverted_range_is_empty, incarnations_are_logs_of_their_own,
                large_bodies_are_kept, appending_without_a_commit;
            frontier: a_room_without_events_has_none, it_grows_with_the_log, it_stops_at_a_hole, a_filled_hole_moves_it_on,
                it_starts_at_the_lowest_number_held, older_entries_lower_it, older_entries_below_a_hole_are_the_frontier,
                it_comes_in_order_of_logs, it_carries_the_digest_of_its_end, withheld_entries_count,
                expiry_raises_its_low_end, an_expired_log_keeps_its_place;
            archive: an_empty_archive_has_an_empty_page, pages_are_in_order_of_arrival, it_is_read_forwards,
                it_is_read_backwards, reading_forwards_meets_what_arrives_meanwhile,
                reading_backwards_is_not_disturbed_by_what_arrives, times_select_with_both_ends,
                a_speaker_selects, filters_hold_together, a_page_lies_between_after_and_before,
                ids_enclose_what_is_selected, single_entries_are_selected, a_page_begins_at_an_index,
                an_unknown_reference_is_no_page, a_page_of_none_counts, far_times_select_soundly;
            recent: all_of_it_in_canonical_order, the_newest_stanzas, as_many_characters_as_wanted,
                none_from_before, all_limits_hold_together, one_moment_is_ordered_by_position, a_late_arrival_takes_its_place;
            moderation: a_redacted_event_has_new_content, a_redacted_event_counts_with_its_new_size,
                redaction_keeps_large_numbers, redacting_what_is_not_held_changes_nothing,
                a_withheld_entry_is_kept_and_not_shown, a_revealed_entry_is_shown_again, expiry_drops_what_is_older,
                expiry_is_by_room, expired_references_are_unknown;
            listing: rooms_are_listed_in_order_of_address, domains_are_listed_apart, a_list_goes_on_after_an_address,
                cards_are_listed, destroyed_rooms_are_not_listed, ten_thousand_rooms_are_listed_by_pages,
                rooms_are_tallied_by_their_cards, rooms_are_found_by_a_part, an_escaped_nul_in_a_card_harms_nothing;
            directory: a_room_is_in_it_while_its_card_says_so, it_is_read_both_ways, an_unknown_room_is_no_bound,
                a_directory_is_of_one_domain;
            nodes: a_lease_is_held_against_another_node, a_node_that_lost_its_lease_cannot_write_again,
                another_node_reads_what_was_written, of_two_nodes_at_one_revision_one_wins;
            peers: without_rules_there_are_none, rules_come_in_order_of_domain, a_rule_replaces_the_former,
                a_rule_is_dropped, every_field_of_a_rule_is_kept, another_node_sees_rules;
            transfer: all_domains_are_known, tombstones_are_listed_and_put, arrivals_are_read_by_pages,
                places_of_ended_logs_are_put;
            restart: rooms_survive, logs_survive, the_order_of_arrival_survives, leases_survive, tombstones_survive,
                rules_survive, an_expired_log_keeps_its_place_over_a_restart;
        }
    };
}

/// What [`suite!`] expands to; of no use by itself.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($builder:ty; $($part:ident: $($case:ident),+ ;)+) => {
        $(mod $part {
            #[allow(unused_imports)]
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                $crate::storage::conformance::$part::$case(&<$builder>::default()).await;
            })+
        })+
    };
}
