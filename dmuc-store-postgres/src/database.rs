//! The one way to the database: a statement on some connection, with an end to waiting.

use std::time::Duration;

use dmuc_core::storage::StoreError;
use sqlx::postgres::{PgArguments, PgPool, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Decode, Row, Type};
use tokio::time::timeout;

use crate::error::{failed, unanswered};

/// A statement with its arguments.
pub(crate) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// Connections, and how long a statement may take on one of them.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pool: PgPool,
    patience: Duration,
}

impl Database {
    /// Statements on connections of `pool` are given up after `patience`, which should be longer than the server's own
    /// `statement_timeout`: it is for servers that cannot say so.
    pub fn new(pool: PgPool, patience: Duration) -> Self {
        Self { pool, patience }
    }

    /// Runs one statement, which is a transaction of its own.
    ///
    /// # Errors
    /// `Unavailable` also when it is unknown whether the statement was carried out.
    pub async fn rows(
        &self,
        operation: &'static str,
        statement: Statement<'_>,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.try_rows(statement).await.ok_or_else(|| unanswered(operation))?.map_err(failed(operation))
    }

    /// The only row of a statement that gives one.
    pub async fn row(&self, operation: &'static str, statement: Statement<'_>) -> Result<PgRow, StoreError> {
        let rows = self.rows(operation, statement).await?;
        rows.into_iter().next().ok_or_else(|| failed(operation)(sqlx::Error::RowNotFound))
    }

    /// Nothing when no answer came in time.
    pub async fn try_rows(&self, statement: Statement<'_>) -> Option<Result<Vec<PgRow>, sqlx::Error>> {
        let mut connection = match self.pool.acquire().await {
            Ok(connection) => connection,
            Err(error) => return Some(Err(error)),
        };
        let answer = timeout(self.patience, statement.fetch_all(&mut *connection)).await;
        if answer.is_err() {
            // It may hang for good; the pool opens another.
            connection.close_on_drop();
        }
        answer.ok()
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A column of a row, by its place.
pub(crate) fn column<'r, T>(row: &'r PgRow, place: usize, operation: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(place).map_err(failed(operation))
}

/// The first column of each row.
pub(crate) fn first_column<T>(rows: &[PgRow], operation: &'static str) -> Result<Vec<T>, StoreError>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    rows.iter().map(|row| column(row, 0, operation)).collect()
}
