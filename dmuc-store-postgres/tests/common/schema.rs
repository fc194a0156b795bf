//! Schemas for tests.

use std::thread;

use uuid::Uuid;

use crate::sql::execute;

/// A schema of a case's own, dropped at the end.
pub struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// A new schema in the database of a URL.
    pub async fn new(server: &str) -> Self {
        let schema = Self { server: server.to_owned(), name: format!("dmuc_{}", Uuid::new_v4().simple()) };
        execute(&schema.server, &format!("CREATE SCHEMA {}", schema.name)).await;
        schema
    }

    /// The URL that leads into the schema.
    pub fn url(&self) -> String {
        format!("{}?options=-csearch_path={}", self.server, self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP SCHEMA {} CASCADE", self.name));
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&server, &sql));
        });
        dropped.join().unwrap();
    }
}
