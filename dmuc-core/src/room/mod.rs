//! One room instance as XEP-0045 sees it.

pub mod config;
pub mod roles;
