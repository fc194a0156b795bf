-- The commits of many rooms at once, none of which has two: all are made, or none. Gives the rooms of those that are in
-- the way and, for each, why ('revision', 'address' or 'id'); without them the others can be made.
-- Arrays of one length belong together, an element of each to one thing; `uids` is in order, which is the order of locking.
CREATE FUNCTION commit_rooms(
    -- For every commit: what it follows, its lease, how many entries it appends.
    uids uuid[], revisions bigint[], fences bigint[], entries bigint[],
    -- Rooms that are created; a tombstone blocks if it lasts longer than the lease.
    created uuid[], created_jids text[], created_domains text[], created_until bigint[],
    -- Parts set and dropped; what cards say of being public.
    put_uids uuid[], put_keys text[], put_values text[],
    dropped_uids uuid[], dropped_keys text[],
    card_uids uuid[], card_publics boolean[],
    -- Events of which the content is replaced, and those withheld or revealed, as far as they were held before.
    redacted_uids uuid[], redacted_ids uuid[], redacted_contents text[], redacted_sizes integer[],
    hidden_uids uuid[], hidden_origins text[], hidden_incarnations bigint[], hidden_seqs bigint[], hidden_values boolean[],
    -- Entries; `entry_rests` says how many of the same room follow.
    entry_uids uuid[], entry_rests bigint[], entry_origins text[], entry_incarnations bigint[], entry_seqs bigint[],
    entry_hlcs bigint[], entry_ids uuid[], entry_nicks text[], entry_oids text[], entry_sizes integer[],
    entry_hidden boolean[], entry_digests uuid[], entry_events text[], entry_contents text[],
    -- Rooms that are destroyed, after all else; tombstones.
    destroyed uuid[], stone_jids text[], stone_domains text[], stone_until bigint[], stones text[],
    OUT refused uuid[], OUT reasons text[]
)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    found uuid[];
    entry_places bigint[];
BEGIN
    refused := '{}';
    reasons := '{}';
    IF created <> '{}' THEN
        INSERT INTO rooms (uid) SELECT unnest(created) ON CONFLICT DO NOTHING;
    END IF;
    -- What is done in this block is undone if it ends with a refusal.
    BEGIN
        WITH made AS (
            UPDATE rooms SET revision = rooms.revision + 1, arrivals = rooms.arrivals + asked.entries
            FROM unnest(uids, revisions, fences, entries) AS asked (uid, revision, fence, entries)
            WHERE rooms.uid = asked.uid AND rooms.revision = asked.revision AND rooms.fence <= asked.fence
            RETURNING rooms.uid
        )
        SELECT coalesce(array_agg(asked.uid), '{}') INTO found FROM unnest(uids) AS asked (uid)
        WHERE asked.uid NOT IN (SELECT made.uid FROM made);
        refused := refused || found;
        reasons := reasons || array_fill('revision'::text, ARRAY[cardinality(found)]);
        IF created <> '{}' THEN
            found := take_addresses(created, created_jids, created_domains, created_until, refused);
            refused := refused || found;
            reasons := reasons || array_fill('address'::text, ARRAY[cardinality(found)]);
        END IF;
        IF refused <> '{}' THEN
            RAISE EXCEPTION USING ERRCODE = 'DM001';
        END IF;

        IF put_uids <> '{}' THEN
            INSERT INTO parts (uid, key, value) SELECT * FROM unnest(put_uids, put_keys, put_values)
            ON CONFLICT (uid, key) DO UPDATE SET value = excluded.value;
        END IF;
        IF dropped_uids <> '{}' THEN
            DELETE FROM parts USING unnest(dropped_uids, dropped_keys) AS dropped (uid, key)
            WHERE parts.uid = dropped.uid AND parts.key = dropped.key;
        END IF;
        IF card_uids <> '{}' THEN
            UPDATE addresses SET public = card.public FROM unnest(card_uids, card_publics) AS card (uid, public)
            WHERE addresses.uid = card.uid AND addresses.public <> card.public;
        END IF;
        IF redacted_uids <> '{}' THEN
            UPDATE log SET content = redacted.content, bytes = redacted.bytes
            FROM unnest(redacted_uids, redacted_ids, redacted_contents, redacted_sizes) AS redacted (uid, id, content, bytes)
            WHERE log.uid = redacted.uid AND log.id = redacted.id;
        END IF;
        IF hidden_uids <> '{}' THEN
            PERFORM withhold(hidden_uids, hidden_origins, hidden_incarnations, hidden_seqs, hidden_values);
        END IF;
        IF entry_uids <> '{}' THEN
            SELECT array_agg(rooms.arrivals - entry.rest ORDER BY entry.nth) INTO entry_places
            FROM unnest(entry_uids, entry_rests) WITH ORDINALITY AS entry (uid, rest, nth) JOIN rooms USING (uid);
            PERFORM add_entries(
                entry_uids, entry_places, entry_origins, entry_incarnations, entry_seqs, entry_hlcs, entry_ids,
                entry_nicks, entry_oids, entry_sizes, entry_hidden, entry_digests, entry_events, entry_contents);
        END IF;
        IF destroyed <> '{}' THEN
            PERFORM destroy_rooms(destroyed);
        END IF;
        IF stones <> '{}' THEN
            PERFORM put_tombstones(stone_jids, stone_domains, stone_until, stones);
        END IF;
    EXCEPTION
        WHEN SQLSTATE 'DM001' THEN
            NULL;
        WHEN unique_violation THEN
            refused := ids_elsewhere(entry_uids, entry_origins, entry_incarnations, entry_seqs, entry_ids);
            reasons := array_fill('id'::text, ARRAY[cardinality(refused)]);
            IF refused = '{}' THEN
                RAISE;
            END IF;
    END;
END
$$;

-- Binds addresses to rooms, those `refused` left out; gives the rooms of which the address is occupied or blocked.
CREATE FUNCTION take_addresses(
    uids uuid[], jids text[], domains text[], until bigint[], refused uuid[]
) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
    occupied uuid[];
    blocked  uuid[];
BEGIN
    WITH taken AS (
        INSERT INTO addresses (uid, jid, domain)
        SELECT * FROM unnest(uids, jids, domains) AS wanted (uid, jid, domain) WHERE wanted.uid <> ALL (refused)
        ON CONFLICT DO NOTHING
        RETURNING uid
    )
    SELECT array_agg(wanted.uid) INTO occupied FROM unnest(uids) AS wanted (uid)
    WHERE wanted.uid <> ALL (refused) AND wanted.uid NOT IN (SELECT taken.uid FROM taken);
    -- A statement of its own: the one before may have waited for a room to be destroyed.
    SELECT array_agg(wanted.uid) INTO blocked
    FROM unnest(uids, jids, until) AS wanted (uid, jid, until) JOIN tombstones USING (jid)
    WHERE wanted.uid <> ALL (refused || occupied) AND tombstones.blocks_until > wanted.until;
    DELETE FROM tombstones WHERE jid = ANY (jids);
    RETURN coalesce(occupied, '{}') || coalesce(blocked, '{}');
END
$$;

CREATE FUNCTION withhold(uids uuid[], origins text[], incarnations bigint[], seqs bigint[], hidden boolean[]) RETURNS void
LANGUAGE sql AS $$
    WITH changed AS (
        UPDATE log SET withheld = asked.hidden
        FROM unnest(uids, origins, incarnations, seqs, hidden) AS asked (uid, origin, incarnation, seq, hidden)
        WHERE log.uid = asked.uid AND log.origin = asked.origin AND log.incarnation = asked.incarnation
        AND log.seq = asked.seq AND log.withheld <> asked.hidden
        RETURNING log.uid, log.arrival, log.hlc, CASE WHEN log.withheld THEN -1 ELSE 1 END AS change
    )
    SELECT count_shown(array_agg(uid), array_agg(arrival), array_agg(hlc), array_agg(change)) FROM changed
$$;

-- Removes rooms with all that they have; what is left is the fences of their leases.
CREATE FUNCTION destroy_rooms(uids uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM addresses WHERE uid = ANY (uids);
    DELETE FROM parts WHERE uid = ANY (uids);
    DELETE FROM log WHERE uid = ANY (uids);
    DELETE FROM chapters WHERE uid = ANY (uids);
    DELETE FROM frontiers WHERE uid = ANY (uids);
    UPDATE rooms SET revision = 0, arrivals = 0 WHERE uid = ANY (uids);
END
$$;

CREATE FUNCTION put_tombstones(jids text[], domains text[], until bigint[], stones text[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO tombstones (jid, domain, blocks_until, tombstone) SELECT * FROM unnest(jids, domains, until, stones)
    ON CONFLICT (jid) DO UPDATE SET blocks_until = excluded.blocks_until, tombstone = excluded.tombstone
$$;

-- Appends entries of one room, which need not exist. Gives false if an event id is held at another position; then
-- nothing has been appended.
CREATE FUNCTION append_entries(
    room uuid, rests bigint[], origins text[], incarnations bigint[], seqs bigint[], hlcs bigint[], ids uuid[],
    nicks text[], oids text[], sizes integer[], hidden boolean[], digests uuid[], events text[], contents text[]
) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    reserved bigint;
    places   bigint[];
BEGIN
    INSERT INTO rooms AS held (uid, arrivals) VALUES (room, cardinality(seqs))
    ON CONFLICT (uid) DO UPDATE SET arrivals = held.arrivals + excluded.arrivals
    RETURNING arrivals INTO reserved;
    SELECT array_agg(reserved - rest ORDER BY nth) INTO places FROM unnest(rests) WITH ORDINALITY AS entry (rest, nth);
    PERFORM add_entries(
        array_fill(room, ARRAY[cardinality(seqs)]), places, origins, incarnations, seqs, hlcs, ids, nicks, oids, sizes,
        hidden, digests, events, contents);
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END
$$;

-- Drops the oldest entries of a room stamped before `before`, at most `most`, and gives how many. Logs of which
-- nothing is left keep their place.
CREATE FUNCTION expire_entries(room uuid, before bigint, most bigint) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    gone_arrivals bigint[];
    gone_hlcs     bigint[];
    gone_shown    integer[];
    origins       text[];
    incarnations  bigint[];
    seqs          bigint[];
    digests       uuid[];
BEGIN
    PERFORM FROM rooms WHERE uid = room FOR UPDATE;
    WITH old AS (
        SELECT arrival FROM log WHERE uid = room AND hlc < before
        ORDER BY hlc, origin, incarnation, seq LIMIT most
    ), gone AS (
        DELETE FROM log WHERE uid = room AND arrival IN (SELECT arrival FROM old)
        RETURNING arrival, hlc, (NOT withheld)::integer AS shown, origin, incarnation, seq, digest
    )
    SELECT array_agg(arrival), array_agg(hlc), array_agg(-shown),
        array_agg(origin), array_agg(incarnation), array_agg(seq), array_agg(digest)
    FROM gone INTO gone_arrivals, gone_hlcs, gone_shown, origins, incarnations, seqs, digests;
    IF gone_arrivals IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM count_shown(
        array_fill(room, ARRAY[cardinality(gone_arrivals)]), gone_arrivals, gone_hlcs, gone_shown);
    DELETE FROM chapters WHERE uid = room AND shown = 0 AND NOT EXISTS (
        SELECT FROM log WHERE log.uid = room AND log.arrival BETWEEN chapter * 1024 AND chapter * 1024 + 1023);
    PERFORM shorten_frontiers(room, origins, incarnations, seqs, digests);
    RETURN cardinality(gone_arrivals);
END
$$;

-- Moves the low ends of logs of which entries are gone. A log with nothing left keeps its place and the digest there; one
-- that has lost entries from its middle is counted anew.
CREATE FUNCTION shorten_frontiers(room uuid, origins text[], incarnations bigint[], seqs bigint[], digests uuid[])
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    gone   record;
    lowest bigint;
BEGIN
    FOR gone IN
        SELECT origin, incarnation, max(seq) AS seq FROM unnest(origins, incarnations, seqs) AS g (origin, incarnation, seq)
        GROUP BY 1, 2
    LOOP
        SELECT seq INTO lowest FROM log
        WHERE uid = room AND origin = gone.origin AND incarnation = gone.incarnation ORDER BY seq LIMIT 1;
        IF lowest IS NULL THEN
            UPDATE frontiers AS held SET low = held.top + 1, highest = held.top, digest = (
                SELECT g.digest FROM unnest(origins, incarnations, seqs, digests) AS g (origin, incarnation, seq, digest)
                WHERE g.origin = held.origin AND g.incarnation = held.incarnation AND g.seq = held.top)
            WHERE uid = room AND origin = gone.origin AND incarnation = gone.incarnation;
        ELSIF gone.seq < lowest AND EXISTS (
            SELECT FROM frontiers
            WHERE uid = room AND origin = gone.origin AND incarnation = gone.incarnation AND lowest BETWEEN low AND top)
        THEN
            UPDATE frontiers SET low = lowest
            WHERE uid = room AND origin = gone.origin AND incarnation = gone.incarnation;
        ELSE
            DELETE FROM frontiers WHERE uid = room AND origin = gone.origin AND incarnation = gone.incarnation;
            PERFORM recount_log(room, gone.origin, gone.incarnation);
        END IF;
    END LOOP;
END
$$;
