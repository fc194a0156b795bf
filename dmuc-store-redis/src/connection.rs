//! Commands to the server, or to the nodes of a cluster, many at a time.

use std::fmt;

use dmuc_core::storage::{StoreError, StoreErrorKind};
use futures_util::future::join_all;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value, cmd};

use crate::error::{failed, unreadable};
use crate::script::load_all;

/// How often what may be repeated is: after a server has started again it neither answers nor knows the scripts.
const REPETITIONS: usize = 3;
/// How long `WAIT` waits for replicas.
const REPLICAS_TIMEOUT_MS: u32 = 2_000;

/// Connected, or connecting again; clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    link: Link,
    /// How many replicas must have a change before it counts as made.
    min_replicas: u32,
}

#[derive(Clone)]
enum Link {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = match self.link {
            Link::One(_) => "server",
            Link::Cluster(_) => "cluster",
        };
        f.debug_struct("Connection").field("to", &link).field("min_replicas", &self.min_replicas).finish()
    }
}

impl Connection {
    pub fn to_server(link: ConnectionManager, min_replicas: u32) -> Self {
        Self { link: Link::One(link), min_replicas }
    }

    pub fn to_cluster(link: ClusterConnection, min_replicas: u32) -> Self {
        Self { link: Link::Cluster(link), min_replicas }
    }

    pub async fn ask<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: Cmd,
    ) -> Result<T, StoreError> {
        let mut answers = self.ask_all(operation, vec![command]).await?;
        answers.pop().ok_or_else(|| StoreError::new(StoreErrorKind::Unexpected, operation))
    }

    /// The answers to all commands, each for itself.
    pub async fn ask_each<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: Vec<Cmd>,
    ) -> Vec<Result<T, StoreError>> {
        let answers = self.run(commands).await.into_iter();
        answers.map(|answer| read(operation, answer.map_err(failed(operation))?)).collect()
    }

    /// The answers to all commands, if none failed.
    pub async fn ask_all<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: Vec<Cmd>,
    ) -> Result<Vec<T>, StoreError> {
        self.ask_each(operation, commands).await.into_iter().collect()
    }

    /// As [`ask_all`](Self::ask_all), each for itself, and once the replicas have what was changed.
    pub async fn change<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: Vec<Cmd>,
    ) -> Vec<Result<T, StoreError>> {
        let count = commands.len();
        if commands.is_empty() {
            return Vec::new();
        }
        let (answers, replicas) = self.run_and_wait(commands).await;
        if let Err(error) = replicas.map_or(Ok(()), |answer| self.check_replicas(operation, answer)) {
            return error.for_all(count);
        }
        let answers = answers.into_iter();
        answers.map(|answer| read(operation, answer.map_err(failed(operation))?)).collect()
    }

    /// The answers, and how many replicas have what was changed, if that is of interest.
    async fn run_and_wait(
        &self,
        mut commands: Vec<Cmd>,
    ) -> (Vec<RedisResult<Value>>, Option<RedisResult<Value>>) {
        match &self.link {
            _ if self.min_replicas == 0 => (self.run(commands).await, None),
            // `WAIT` is about what its own connection has changed, so they must not be parted.
            Link::One(_) => {
                commands.push(self.wait());
                let mut answers = self.run(commands).await;
                let replicas = answers.pop();
                (answers, replicas)
            }
            Link::Cluster(_) => {
                let answers = self.run(commands).await;
                (answers, self.run(vec![self.wait()]).await.pop())
            }
        }
    }

    /// One change, as [`change`](Self::change) makes it.
    pub async fn change_one<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: Cmd,
    ) -> Result<T, StoreError> {
        let mut answers = self.change(operation, vec![command]).await;
        answers.pop().unwrap_or_else(|| Err(StoreError::new(StoreErrorKind::Unexpected, operation)))
    }

    fn wait(&self) -> Cmd {
        let mut wait = cmd("WAIT");
        wait.arg(self.min_replicas).arg(REPLICAS_TIMEOUT_MS);
        wait
    }

    fn check_replicas(&self, operation: &'static str, answer: RedisResult<Value>) -> Result<(), StoreError> {
        let replicas: u32 = read(operation, answer.map_err(failed(operation))?)?;
        if replicas >= self.min_replicas {
            return Ok(());
        }
        let wanted = self.min_replicas;
        let why = format!("only {replicas} of {wanted} replicas have the change");
        Err(StoreError::caused(StoreErrorKind::Unavailable, operation, why))
    }

    /// Runs commands, in their order as far as they are for one node. What failed because a server had hung up, or does
    /// not know the scripts yet, is run again: every command of this crate may be made twice.
    async fn run(&self, commands: Vec<Cmd>) -> Vec<RedisResult<Value>> {
        let mut answers = self.send(&commands).await;
        for _ in 0..REPETITIONS {
            let failed = |answer: &RedisResult<Value>| answer.as_ref().is_err_and(may_be_repeated);
            if !answers.iter().any(failed) {
                break;
            }
            if answers.iter().any(|answer| answer.as_ref().is_err_and(is_unknown_script)) {
                self.send(&load_all()).await;
            }
            // `WAIT` comes last, and is about what comes before it.
            let waits = self.min_replicas > 0;
            let again = |n: &usize| failed(&answers[*n]) || (waits && n + 1 == answers.len());
            let again: Vec<usize> = (0..answers.len()).filter(again).collect();
            let repeated: Vec<Cmd> = again.iter().map(|n| commands[*n].clone()).collect();
            for (n, answer) in again.into_iter().zip(self.send(&repeated).await) {
                answers[n] = answer;
            }
        }
        answers
    }

    /// The answers of all servers that take changes, each with what to call it: nothing, if there is but one.
    pub async fn ask_primaries(&self, command: &Cmd) -> RedisResult<Vec<(String, Value)>> {
        let answer = match &self.link {
            Link::One(link) => {
                return Ok(vec![(String::new(), link.clone().send_packed_command(command).await?)]);
            }
            Link::Cluster(link) => {
                let routing = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                link.clone().route_command(command.clone(), routing).await?
            }
        };
        let answers: Vec<(String, Value)> = redis::from_redis_value(answer)?;
        Ok(answers.into_iter().map(|(node, answer)| (format!("{node} "), answer)).collect())
    }

    async fn send(&self, commands: &[Cmd]) -> Vec<RedisResult<Value>> {
        if commands.is_empty() {
            return Vec::new();
        }
        match &self.link {
            Link::One(link) => send_to_one(link.clone(), commands).await,
            // Whatever goes to one node at the same time shares its connection, and is pipelined there.
            Link::Cluster(link) => {
                join_all(commands.iter().map(|command| send_one(link.clone(), command))).await
            }
        }
    }
}

async fn send_to_one(mut link: ConnectionManager, commands: &[Cmd]) -> Vec<RedisResult<Value>> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    pipeline.ignore_errors();
    for command in commands {
        pipeline.add_command(command.clone());
    }
    let answers: RedisResult<Vec<RedisResult<Value>>> = pipeline.query_async(&mut link).await;
    answers.unwrap_or_else(|error| vec![Err(error); commands.len()])
}

async fn send_one(mut link: ClusterConnection, command: &Cmd) -> RedisResult<Value> {
    link.req_packed_command(command).await?.extract_error()
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn may_be_repeated(error: &RedisError) -> bool {
    is_unknown_script(error) || (error.is_connection_dropped() && !error.is_connection_refusal())
}

fn read<T: FromRedisValue>(operation: &'static str, answer: Value) -> Result<T, StoreError> {
    redis::from_redis_value(answer).map_err(unreadable(operation))
}
