//! The scripts, and calling them by their digest.

use std::sync::LazyLock;

use redis::{Cmd, Script, ToRedisArgs, cmd};

macro_rules! scripts {
    ($($name:ident = $file:literal;)+) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!($file)));)+

        /// Commands that make a server know all scripts.
        pub(crate) fn load_all() -> Vec<Cmd> {
            [$(include_str!($file)),+].iter().map(|code| load(code)).collect()
        }
    };
}

scripts! {
    COMMIT = "lua/commit.lua";
    EXPIRE = "lua/expire.lua";
    PUT_PLACES = "lua/put_places.lua";
    ACQUIRE = "lua/acquire.lua";
    RENEW = "lua/renew.lua";
    RELEASE = "lua/release.lua";
    MOVE_LEASE = "lua/move_lease.lua";
    ANNOUNCE = "lua/announce.lua";
    SETTLE = "lua/settle.lua";
}

fn load(code: &str) -> Cmd {
    let mut load = cmd("SCRIPT");
    load.arg("LOAD").arg(code);
    load
}

/// A call of a script; its arguments are up to the caller.
pub(crate) fn call(script: &Script, keys: &[impl ToRedisArgs]) -> Cmd {
    let mut call = cmd("EVALSHA");
    call.arg(script.get_hash()).arg(keys.len()).arg(keys);
    call
}
