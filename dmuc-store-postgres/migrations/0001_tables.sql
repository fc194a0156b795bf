-- Whatever belongs to one room is keyed by its uid first, so that it can be spread over partitions or servers by uid.
-- Only what is looked up by address is not: addresses, tombstones and peers are small, and read by all.

-- Which room is at an address. `public` says what its `card` part says: whether strangers may find it.
CREATE TABLE addresses (
    jid    text COLLATE "C" PRIMARY KEY,
    uid    uuid NOT NULL UNIQUE,
    domain text COLLATE "C" NOT NULL,
    public boolean NOT NULL DEFAULT false
);
CREATE INDEX addresses_by_domain ON addresses (domain, jid);
CREATE INDEX addresses_public ON addresses (domain, jid) WHERE public;

CREATE TABLE tombstones (
    jid          text COLLATE "C" PRIMARY KEY,
    domain       text COLLATE "C" NOT NULL,
    blocks_until bigint NOT NULL,
    tombstone    text NOT NULL
);
CREATE INDEX tombstones_by_domain ON tombstones (domain, jid);

CREATE TABLE peers (
    domain text COLLATE "C" PRIMARY KEY,
    rule   text NOT NULL
);

-- A room's counters and its lease, in one row: whoever changes anything of a room changes or locks this row first.
-- Revision 0 is no room, not yet or not any more; the fence outlives the room. `arrivals` is the last place given out in
-- the order of arrival. Commits leave the indexed columns alone, and so the indexes.
CREATE TABLE rooms (
    uid      uuid PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0,
    arrivals bigint NOT NULL DEFAULT 0,
    fence    bigint NOT NULL DEFAULT 0,
    holder   text NOT NULL DEFAULT '',
    expires  bigint NOT NULL DEFAULT 0,
    released boolean NOT NULL DEFAULT true,
    wanted   boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX rooms_leased ON rooms (expires) WHERE NOT released;

-- A room's parts: JSON that only the core understands, kept as text, since jsonb refuses some of it.
CREATE TABLE parts (
    uid   uuid NOT NULL,
    key   text COLLATE "C" NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (uid, key)
) WITH (fillfactor = 80);
-- In which rooms somebody subscribes.
CREATE INDEX subscribers ON parts (key, uid) WHERE key >= 'subscriber/' AND key < 'subscriber0';

-- The logs. `arrival` counts the entries of a room in the order in which they came here. An event's content has a
-- column of its own, so that it is replaced without reading the rest.
CREATE TABLE log (
    uid         uuid NOT NULL,
    arrival     bigint NOT NULL,
    origin      text COLLATE "C" NOT NULL,
    incarnation bigint NOT NULL,
    seq         bigint NOT NULL,
    hlc         bigint NOT NULL,
    id          uuid NOT NULL,
    nick        text COLLATE "C",
    oid         text COLLATE "C",
    bytes       integer NOT NULL,
    withheld    boolean NOT NULL,
    digest      uuid,
    event       text NOT NULL,
    content     text NOT NULL,
    -- With all that counting asks for.
    PRIMARY KEY (uid, arrival) INCLUDE (hlc, withheld),
    CONSTRAINT log_positions UNIQUE (uid, origin, incarnation, seq),
    CONSTRAINT log_ids UNIQUE (uid, id)
);
CREATE INDEX log_canonical ON log (uid, hlc, origin, incarnation, seq);
CREATE INDEX log_nicks ON log (uid, nick, arrival) INCLUDE (hlc) WHERE NOT withheld AND nick IS NOT NULL;
CREATE INDEX log_oids ON log (uid, oid, arrival) INCLUDE (hlc) WHERE NOT withheld AND oid IS NOT NULL;

-- What archive queries need to know of each 1024 places in the order of arrival: how many entries are shown, and the
-- bounds of their stamps (which may be too wide, never too narrow). Counting a long log reads these instead of it.
CREATE TABLE chapters (
    uid     uuid NOT NULL,
    chapter bigint NOT NULL,
    shown   bigint NOT NULL,
    first   bigint NOT NULL,
    last    bigint NOT NULL,
    PRIMARY KEY (uid, chapter)
) WITH (fillfactor = 70);

-- Up to where each log is held without a hole, from low on; kept so that waking a room reads no log. When every entry
-- of a log has expired, low is top + 1 and digest that of the entry at top; otherwise the entry itself has it. `highest` is
-- above top while there are entries behind a hole.
CREATE TABLE frontiers (
    uid         uuid NOT NULL,
    origin      text COLLATE "C" NOT NULL,
    incarnation bigint NOT NULL,
    low         bigint NOT NULL,
    top         bigint NOT NULL,
    highest     bigint NOT NULL,
    digest      uuid,
    PRIMARY KEY (uid, origin, incarnation)
) WITH (fillfactor = 70);
