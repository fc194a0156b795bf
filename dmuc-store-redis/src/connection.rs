//! Commands to the server, or to the nodes of a cluster, many at a time.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use dmuc_core::storage::{StoreError, StoreErrorKind};
use futures_util::future::join_all;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{
    Arg, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value, cmd,
    make_extension_error,
};

use crate::error::{failed, unreadable};
use crate::script::load_all;

/// How often what may be repeated is: after a server has started again it neither answers nor knows the scripts.
const REPETITIONS: usize = 3;
/// How long `WAIT` waits for replicas.
const REPLICAS_TIMEOUT_MS: u32 = 2_000;
/// Connections to one server. Of each it reads 16 KiB before it writes its log to the disk and answers, so that one alone
/// would have the disk wait several times for what goes out together.
pub(crate) const LANES: usize = 8;

/// Connected, or connecting again; clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    link: Link,
    /// How many replicas must have a change before it counts as made.
    min_replicas: u32,
}

#[derive(Clone)]
enum Link {
    Server(Vec<ConnectionManager>),
    Cluster(ClusterConnection),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = match self.link {
            Link::Server(_) => "server",
            Link::Cluster(_) => "cluster",
        };
        f.debug_struct("Connection").field("to", &link).field("min_replicas", &self.min_replicas).finish()
    }
}

impl Connection {
    pub fn to_server(lanes: Vec<ConnectionManager>, min_replicas: u32) -> Self {
        Self { link: Link::Server(lanes), min_replicas }
    }

    pub fn to_cluster(link: ClusterConnection, min_replicas: u32) -> Self {
        Self { link: Link::Cluster(link), min_replicas }
    }

    pub async fn ask<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: Cmd,
    ) -> Result<T, StoreError> {
        the_one(operation, self.ask_each(operation, vec![command]).await)
    }

    /// The answers to all commands, if none failed.
    pub async fn ask_all<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: Vec<Cmd>,
    ) -> Result<Vec<T>, StoreError> {
        self.ask_each(operation, commands).await.into_iter().collect()
    }

    /// The answers to all commands, each for itself.
    pub async fn ask_each<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: Vec<Cmd>,
    ) -> Vec<Result<T, StoreError>> {
        read_each(operation, self.run(commands, 0).await)
    }

    /// As [`ask_each`](Self::ask_each), once the replicas have what was changed.
    pub async fn change<T: FromRedisValue>(
        &self,
        operation: &'static str,
        commands: Vec<Cmd>,
    ) -> Vec<Result<T, StoreError>> {
        read_each(operation, self.run(commands, self.min_replicas).await)
    }

    /// One change, as [`change`](Self::change) makes it.
    pub async fn change_one<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: Cmd,
    ) -> Result<T, StoreError> {
        the_one(operation, self.change(operation, vec![command]).await)
    }

    /// Runs commands, those of one room or one domain in their order. What failed because a server had hung up, or does
    /// not know the scripts yet, is run again: every command of this crate may be made twice.
    async fn run(&self, commands: Vec<Cmd>, replicas: u32) -> Vec<RedisResult<Value>> {
        let mut answers = self.send(&commands.iter().collect::<Vec<_>>(), replicas).await;
        for _ in 0..REPETITIONS {
            let failed = |answer: &RedisResult<Value>| answer.as_ref().is_err_and(may_be_repeated);
            let again: Vec<usize> = (0..answers.len()).filter(|n| failed(&answers[*n])).collect();
            if again.is_empty() {
                break;
            }
            if answers.iter().any(|answer| answer.as_ref().is_err_and(is_unknown_script)) {
                self.load_scripts().await;
            }
            let repeated: Vec<&Cmd> = again.iter().map(|n| &commands[*n]).collect();
            for (n, answer) in again.into_iter().zip(self.send(&repeated, replicas).await) {
                answers[n] = answer;
            }
        }
        answers
    }

    async fn load_scripts(&self) {
        // Where it fails, whoever needs the scripts will say so.
        let _ = self.send(&load_all().iter().collect::<Vec<_>>(), 0).await;
    }

    async fn send(&self, commands: &[&Cmd], replicas: u32) -> Vec<RedisResult<Value>> {
        match &self.link {
            _ if commands.is_empty() => Vec::new(),
            Link::Server(lanes) => send_by_lanes(lanes, commands, replicas).await,
            Link::Cluster(link) => send_to_cluster(link, commands, replicas).await,
        }
    }

    /// The answers of all servers that take changes, each with what to call it: nothing, if there is but one.
    pub async fn ask_primaries(&self, command: &Cmd) -> RedisResult<Vec<(String, Value)>> {
        let answer = match &self.link {
            Link::Server(lanes) => {
                let mut lane = lanes[0].clone();
                return Ok(vec![(String::new(), lane.send_packed_command(command).await?)]);
            }
            Link::Cluster(link) => {
                let routing = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                link.clone().route_command(command.clone(), routing).await?
            }
        };
        let answers: Vec<(String, Value)> = redis::from_redis_value(answer)?;
        Ok(answers.into_iter().map(|(node, answer)| (format!("{node} "), answer)).collect())
    }
}

/// What is for one room or one domain goes by one lane, all lanes at once.
async fn send_by_lanes(
    lanes: &[ConnectionManager],
    commands: &[&Cmd],
    replicas: u32,
) -> Vec<RedisResult<Value>> {
    let mut by_lane: Vec<Vec<usize>> = vec![Vec::new(); lanes.len()];
    for (n, command) in commands.iter().enumerate() {
        by_lane[lane_of(command, lanes.len())].push(n);
    }
    let used = lanes.iter().zip(&by_lane).filter(|(_, numbers)| !numbers.is_empty());
    let sent = join_all(used.map(|(lane, numbers)| {
        let commands: Vec<&Cmd> = numbers.iter().map(|n| commands[*n]).collect();
        async move { send_by_lane(lane.clone(), &commands, replicas).await }
    }));
    let mut answers = vec![Ok(Value::Nil); commands.len()];
    for (n, answer) in by_lane.iter().flatten().zip(sent.await.into_iter().flatten()) {
        answers[*n] = answer;
    }
    answers
}

/// By what stands in braces in its key, as a cluster chooses a node.
fn lane_of(command: &Cmd, lanes: usize) -> usize {
    let tag = command.args_iter().find_map(|argument| match argument {
        Arg::Simple(bytes) => {
            let start = bytes.iter().position(|byte| *byte == b'{')?;
            bytes[start..].split(|byte| *byte == b'}').next()
        }
        _ => None,
    });
    let mut hasher = DefaultHasher::new();
    tag.hash(&mut hasher);
    (hasher.finish() % lanes as u64) as usize
}

/// `WAIT` is about what its own connection has changed, so it goes with the changes.
async fn send_by_lane(
    mut lane: ConnectionManager,
    commands: &[&Cmd],
    replicas: u32,
) -> Vec<RedisResult<Value>> {
    let mut pipeline = Pipeline::with_capacity(commands.len() + 1);
    pipeline.ignore_errors();
    for command in commands {
        pipeline.add_command((*command).clone());
    }
    if replicas > 0 {
        pipeline.add_command(wait(replicas));
    }
    let answers: RedisResult<Vec<RedisResult<Value>>> = pipeline.query_async(&mut lane).await;
    let mut answers = answers.unwrap_or_else(|error| vec![Err(error); commands.len()]);
    let reached = answers.split_off(commands.len()).pop();
    check_replicas(answers, replicas, reached)
}

/// Whatever goes to one node at the same time shares its connection, and is pipelined there.
async fn send_to_cluster(
    link: &ClusterConnection,
    commands: &[&Cmd],
    replicas: u32,
) -> Vec<RedisResult<Value>> {
    let send = |command: Cmd| {
        let mut link = link.clone();
        async move { link.req_packed_command(&command).await?.extract_error() }
    };
    let answers = join_all(commands.iter().map(|command| send((*command).clone()))).await;
    let reached = if replicas > 0 { Some(send(wait(replicas)).await) } else { None };
    check_replicas(answers, replicas, reached)
}

fn wait(replicas: u32) -> Cmd {
    let mut wait = cmd("WAIT");
    wait.arg(replicas).arg(REPLICAS_TIMEOUT_MS);
    wait
}

/// What too few replicas have is not made, whatever the server says.
fn check_replicas(
    answers: Vec<RedisResult<Value>>,
    replicas: u32,
    reached: Option<RedisResult<Value>>,
) -> Vec<RedisResult<Value>> {
    let error = match reached.transpose() {
        Ok(None) => return answers,
        Ok(Some(Value::Int(reached))) if reached >= i64::from(replicas) => return answers,
        Ok(Some(reached)) => {
            let detail = format!("{reached:?} of {replicas} replicas have the change");
            make_extension_error("NOREPLICAS".to_owned(), Some(detail))
        }
        Err(error) => error,
    };
    answers.into_iter().map(|answer| answer.and(Err(error.clone()))).collect()
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn may_be_repeated(error: &RedisError) -> bool {
    is_unknown_script(error) || (error.is_connection_dropped() && !error.is_connection_refusal())
}

fn read_each<T: FromRedisValue>(
    operation: &'static str,
    answers: Vec<RedisResult<Value>>,
) -> Vec<Result<T, StoreError>> {
    let read = |answer: RedisResult<Value>| {
        redis::from_redis_value(answer.map_err(failed(operation))?).map_err(unreadable(operation))
    };
    answers.into_iter().map(read).collect()
}

fn the_one<T>(operation: &'static str, mut answers: Vec<Result<T, StoreError>>) -> Result<T, StoreError> {
    answers.pop().unwrap_or_else(|| Err(StoreError::new(StoreErrorKind::Unexpected, operation)))
}
