//! What the server says of how it carries statements out (auto_explain), as sqlx hands it on to the log.

use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Settings of a session of which all plans are told, with what really happened.
pub const SETTINGS: &str = "-csession_preload_libraries=auto_explain -cauto_explain.log_min_duration=0 \
    -cauto_explain.log_analyze=on -cauto_explain.log_timing=off -cauto_explain.log_format=json \
    -cauto_explain.log_nested_statements=on -cauto_explain.log_level=notice";

/// The plans of all statements of this program.
#[derive(Clone, Default)]
pub struct Plans(Arc<Mutex<Vec<Plan>>>);

impl Plans {
    /// Begins to collect.
    pub fn collect() -> Self {
        let plans = Self::default();
        tracing_subscriber::registry().with(plans.clone()).init();
        plans
    }

    /// The plans since the last time.
    pub fn taken(&self) -> Vec<Plan> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: Subscriber> Layer<S> for Plans {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::postgres::notice" {
            let mut text = Text(String::new());
            event.record(&mut text);
            if let Some(begin) = text.0.find("plan:\n") {
                self.0.lock().unwrap().push(Plan(serde_json::from_str(&text.0[begin + 6..]).unwrap()));
            }
        }
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }
}

/// How one statement was carried out.
#[derive(Debug)]
pub struct Plan(Value);

impl Plan {
    fn nodes(&self) -> Vec<&Value> {
        let mut nodes = vec![&self.0["Plan"]];
        let mut next = 0;
        while let Some(node) = nodes.get(next) {
            nodes.extend(node["Plans"].as_array().into_iter().flatten());
            next += 1;
        }
        nodes
    }

    /// Whether a table is read from one end to the other.
    pub fn scans_whole(&self, table: &str) -> bool {
        self.nodes().iter().any(|node| node["Node Type"] == "Seq Scan" && node["Relation Name"] == table)
    }

    /// The most rows that one step sorts.
    pub fn rows_sorted(&self) -> u64 {
        let sorts = self.nodes().into_iter().filter(|node| node["Node Type"] == "Sort");
        sorts.flat_map(|sort| sort["Plans"].as_array()).flatten().map(rows).max().unwrap_or(0)
    }

    /// All rows that are read from tables or indexes, of use or not.
    pub fn rows_read(&self) -> u64 {
        let scans = self.nodes().into_iter().filter(|node| node.get("Relation Name").is_some());
        scans.map(|scan| rows(scan) + loops(scan) * count(scan, "Rows Removed by Filter")).sum()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

fn rows(node: &Value) -> u64 {
    loops(node) * count(node, "Actual Rows")
}

fn loops(node: &Value) -> u64 {
    count(node, "Actual Loops")
}

/// Newer servers give averages with decimals.
fn count(node: &Value, key: &str) -> u64 {
    node[key].as_f64().unwrap_or(0.0).ceil() as u64
}
