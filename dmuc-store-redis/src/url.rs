//! The URL of a store.

use crate::OpenError;

const SCHEMES: [(&str, &str, bool); 6] = [
    ("redis", "redis", false),
    ("rediss", "rediss", false),
    ("valkey", "redis", false),
    ("valkeys", "rediss", false),
    ("redis+cluster", "redis", true),
    ("rediss+cluster", "rediss", true),
];
const DEFAULT_PREFIX: &str = "dmuc:";

/// Where a store is, and how it is used there.
pub(crate) struct StoreUrl {
    /// The URL of each node, as the client library reads it.
    pub nodes: Vec<String>,
    pub is_cluster: bool,
    /// What all keys begin with.
    pub prefix: String,
    /// How many replicas must have a change before it counts as made.
    pub min_replicas: u32,
    /// Nobody can ask the server for its settings; the operator answers for them.
    pub is_trusted: bool,
}

impl StoreUrl {
    /// `SCHEME://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...][/DATABASE][?OPTION=VALUE&...]`; several hosts for clusters
    /// alone.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let (scheme, rest) = url.split_once("://").ok_or(OpenError::Url("it has no scheme"))?;
        let known = SCHEMES.iter().find(|(name, ..)| *name == scheme);
        let (_, scheme, is_cluster) = known.ok_or(OpenError::Url("its scheme is not one of Redis"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        if !is_cluster && hosts.contains(',') {
            return Err(OpenError::Url("several hosts are a cluster: use `redis+cluster://`"));
        }
        if *is_cluster && !path.is_empty() {
            return Err(OpenError::Url("a cluster has no numbered databases"));
        }
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        let nodes = hosts.split(',').map(|host| format!("{scheme}://{user}{host}/{path}")).collect();
        let url = Self {
            nodes,
            is_cluster: *is_cluster,
            prefix: DEFAULT_PREFIX.to_owned(),
            min_replicas: 0,
            is_trusted: false,
        };
        query.split('&').filter(|option| !option.is_empty()).try_fold(url, Self::with)
    }

    fn with(mut self, option: &str) -> Result<Self, OpenError> {
        match option.split_once('=') {
            Some(("prefix", prefix)) if prefix.contains(['{', '}']) => {
                return Err(OpenError::Url("its prefix contains a brace"));
            }
            Some(("prefix", prefix)) => prefix.clone_into(&mut self.prefix),
            Some(("min_replicas", count)) => {
                let count = count.parse();
                self.min_replicas = count.map_err(|_| OpenError::Url("its `min_replicas` is no number"))?;
            }
            Some(("trusted", "yes")) => self.is_trusted = true,
            _ => return Err(OpenError::Url("its options are `prefix`, `min_replicas` and `trusted=yes`")),
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::StoreUrl;

    fn nodes(url: &str) -> Vec<String> {
        StoreUrl::parse(url).map(|url| url.nodes).unwrap_or_default()
    }

    #[test]
    fn every_node_has_the_user_of_the_cluster() {
        let of_two = ["redis://me:x@a:1/", "redis://me:x@b:2/"];
        assert_eq!(nodes("redis+cluster://me:x@a:1,b:2"), of_two);
        assert_eq!(nodes("rediss://a/3?prefix=x:"), ["rediss://a/3"]);
        assert_eq!(nodes("valkey://:p@w@a"), ["redis://:p@w@a/"]);
    }

    #[test]
    fn options_are_taken_off() {
        let url = StoreUrl::parse("redis+cluster://a/?prefix=x:&min_replicas=2&trusted=yes").ok();
        let options = url.map(|url| (url.prefix, url.min_replicas, url.is_trusted, url.is_cluster));
        assert_eq!(options, Some(("x:".to_owned(), 2, true, true)));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, why) in [
            ("redis:me:hunter2@a", "no scheme"),
            ("http://me:hunter2@a", "not one of Redis"),
            ("redis://me:hunter2@a,b", "redis+cluster"),
            ("redis+cluster://me:hunter2@a/1", "no numbered databases"),
            ("redis://me:hunter2@a?prefix={x}", "brace"),
            ("redis://me:hunter2@a?min_replicas=all", "no number"),
            ("redis://me:hunter2@a?colour=red", "options are"),
        ] {
            let said = StoreUrl::parse(url).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(why) && !said.contains("hunter2"), "{url}: {said}");
        }
    }
}
