-- Which room is at an address.
CREATE TABLE rooms (
    uid      TEXT PRIMARY KEY,
    jid      TEXT NOT NULL UNIQUE,
    domain   TEXT NOT NULL,
    revision INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX rooms_by_domain ON rooms (domain, jid);

-- A room's parts: JSON that only the core understands.
CREATE TABLE parts (
    uid   TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (uid, key)
) WITHOUT ROWID;

CREATE TABLE leases (
    uid      TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    fence    INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    released INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE tombstones (
    jid          TEXT PRIMARY KEY,
    blocks_until INTEGER NOT NULL,
    tombstone    TEXT NOT NULL
) WITHOUT ROWID;

-- The logs; arrival is the order in which entries came here.
CREATE TABLE log (
    arrival     INTEGER PRIMARY KEY AUTOINCREMENT,
    uid         TEXT NOT NULL,
    origin      TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    hlc         INTEGER NOT NULL,
    id          BLOB NOT NULL,
    jid         TEXT,
    bytes       INTEGER NOT NULL,
    withheld    INTEGER NOT NULL,
    digest      BLOB,
    event       TEXT NOT NULL,
    UNIQUE (uid, origin, incarnation, seq),
    UNIQUE (uid, id)
);
CREATE INDEX log_canonical ON log (uid, hlc, origin, incarnation, seq);
-- With all that archive queries select by, so that neither counting nor looking for a speaker reads the entries.
CREATE INDEX log_arrival ON log (uid, arrival, hlc, withheld, jid);

-- Up to where each log is held without a hole, from low on; kept so that waking a room reads no log. When every entry
-- of a log has expired, low is top + 1 and digest that of the entry at top; otherwise the entry itself has it.
CREATE TABLE frontiers (
    uid         TEXT NOT NULL,
    origin      TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    top         INTEGER NOT NULL,
    digest      BLOB,
    PRIMARY KEY (uid, origin, incarnation)
) WITHOUT ROWID;

CREATE TABLE peers (
    domain TEXT PRIMARY KEY,
    rule   TEXT NOT NULL
) WITHOUT ROWID;
