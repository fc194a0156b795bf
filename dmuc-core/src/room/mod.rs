//! One room instance as XEP-0045 sees it: what users ask of it, one use case a file.

pub mod affiliations;
pub mod config;
pub mod roles;
