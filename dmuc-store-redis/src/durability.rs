//! Whether a server keeps what it has acknowledged: its settings, and how its disk is doing.

use std::collections::BTreeMap;

use redis::{RedisResult, Value, cmd};

use crate::OpenError;
use crate::connection::Connection;
use crate::error::explain;

/// The oldest version that has all commands of this crate.
const OLDEST: (u32, u32) = (6, 2);
const SETTINGS: [&str; 4] = ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"];

/// What a server says of itself.
#[derive(Default)]
struct Server {
    /// Nothing if it may not be asked.
    settings: Option<BTreeMap<String, String>>,
    info: BTreeMap<String, String>,
}

/// What keeps the servers from keeping their promise, in words for an operator; nothing if all is well.
pub(crate) async fn shortcomings(
    connection: &Connection,
    min_replicas: u32,
    is_trusted: bool,
) -> Result<Vec<String>, OpenError> {
    let mut all = Vec::new();
    for (name, server) in servers(connection).await? {
        server.check_usable()?;
        all.extend(server.shortcomings(min_replicas, is_trusted).into_iter().map(|it| format!("{name}{it}")));
    }
    Ok(all)
}

/// The servers that take changes, each with what to call it.
async fn servers(connection: &Connection) -> Result<Vec<(String, Server)>, OpenError> {
    let mut servers: BTreeMap<String, Server> = BTreeMap::new();
    let mut info = cmd("INFO");
    info.arg("all");
    for (name, answer) in connection.ask_primaries(&info).await.map_err(explain)? {
        let text: String = redis::from_redis_value(answer).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let info = lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
        servers.insert(name, Server { settings: Some(BTreeMap::new()), info });
    }
    for setting in SETTINGS {
        let mut ask = cmd("CONFIG");
        ask.arg("GET").arg(setting);
        note_setting(&mut servers, connection.ask_primaries(&ask).await);
    }
    Ok(servers.into_iter().collect())
}

fn note_setting(servers: &mut BTreeMap<String, Server>, answers: RedisResult<Vec<(String, Value)>>) {
    let Ok(answers) = answers else {
        servers.values_mut().for_each(|server| server.settings = None);
        return;
    };
    for (name, answer) in answers {
        let Some(server) = servers.get_mut(&name) else { continue };
        match redis::from_redis_value::<BTreeMap<String, String>>(answer) {
            Ok(found) => server.settings.iter_mut().for_each(|settings| settings.extend(found.clone())),
            Err(_) => server.settings = None,
        }
    }
}

impl Server {
    fn info(&self, key: &str) -> &str {
        self.info.get(key).map_or("", String::as_str)
    }

    fn check_usable(&self) -> Result<(), OpenError> {
        let version = self.info("redis_version");
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found < OLDEST {
            return Err(OpenError::TooOld { found: version.to_owned() });
        }
        if self.info("role") == "slave" {
            return Err(OpenError::Replica);
        }
        Ok(())
    }

    fn shortcomings(&self, min_replicas: u32, is_trusted: bool) -> Vec<String> {
        let mut found = Vec::new();
        match &self.settings {
            Some(settings) => found.extend(settings_that_lose(settings)),
            None if is_trusted => {}
            None => found.push(
                "does not show its settings (`CONFIG GET`): make sure of `appendonly yes`, `appendfsync always` and \
                 `maxmemory-policy noeviction`, and add `trusted=yes` to the URL"
                    .to_owned(),
            ),
        }
        if self.info("aof_enabled") == "1" && self.info("aof_last_write_status") != "ok" {
            found.push("could not write to its disk lately: see its log".to_owned());
        }
        let replicas: u32 = self.info("connected_slaves").parse().unwrap_or(0);
        if replicas < min_replicas {
            found.push(format!("has {replicas} replicas, and `min_replicas` wants {min_replicas}"));
        }
        found
    }
}

fn settings_that_lose(settings: &BTreeMap<String, String>) -> Vec<String> {
    let value = |key: &str| settings.get(key).map_or("", String::as_str);
    let mut found = Vec::new();
    if value("appendonly") != "yes" {
        found.push(
            "keeps no log of changes and may lose minutes of them in a crash: set `appendonly yes`"
                .to_owned(),
        );
    } else if value("appendfsync") != "always" {
        found.push("may lose the last changes when the power fails: set `appendfsync always`".to_owned());
    }
    let policy = value("maxmemory-policy");
    if value("maxmemory") != "0" && policy != "noeviction" {
        found.push(format!(
            "throws rooms away when its memory is full ({policy}): set `maxmemory-policy noeviction`"
        ));
    }
    found
}
