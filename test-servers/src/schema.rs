//! Schemas for tests.

use std::thread;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use uuid::Uuid;

/// A schema of a test's own, dropped at the end.
#[derive(Debug)]
pub struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// A new schema in the database of a URL.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn new(server: &str) -> Self {
        let schema = Self { server: server.to_owned(), name: format!("dmuc_{}", Uuid::new_v4().simple()) };
        execute(&schema.server, &format!("CREATE SCHEMA {}", schema.name)).await;
        schema
    }

    /// The same where nothing can be waited for.
    ///
    /// # Panics
    /// When the database refuses.
    #[must_use]
    pub fn blocking(server: &str) -> Self {
        let server = server.to_owned();
        wait(move || async move { Self::new(&server).await })
    }

    /// The URL that leads into the schema.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}?options=-csearch_path={}", self.server, self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP SCHEMA {} CASCADE", self.name));
        wait(move || async move { execute(&server, &sql).await });
    }
}

/// Runs something to its end in a thread with a runtime of its own, wherever we are.
fn wait<T: Send + 'static, F: Future<Output = T>>(make: impl FnOnce() -> F + Send + 'static) -> T {
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(make())
    });
    thread.join().expect("it does not panic")
}

/// Lets SQL loose on a database.
///
/// # Panics
/// When the database refuses.
pub async fn execute(url: &str, sql: &str) {
    let options: PgConnectOptions = url.parse().expect("a URL of PostgreSQL");
    let mut connection = options.connect().await.expect("the server can be reached");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the server obeys");
    connection.close().await.expect("the connection can be closed");
}
