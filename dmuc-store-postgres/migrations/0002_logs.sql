-- Writing logs. These functions run inside of others that have locked the rooms.
-- Every table is accessed by key, whatever its statistics say while it is young: hence the settings of the planner.

-- Finds a log's lowest number and the end of what follows it without a hole. What is known of it already is not read
-- again.
CREATE FUNCTION recount_log(room uuid, log_origin text, log_incarnation bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    known  frontiers;
    lowest bigint;
    reached bigint;
    number bigint;
BEGIN
    SELECT seq INTO lowest FROM log
    WHERE uid = room AND origin = log_origin AND incarnation = log_incarnation ORDER BY seq LIMIT 1;
    IF lowest IS NULL THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM frontiers
    WHERE uid = room AND origin = log_origin AND incarnation = log_incarnation AND low <= top;
    reached := lowest - 1;
    LOOP
        IF reached + 1 BETWEEN known.low AND known.top THEN
            reached := known.top;
        END IF;
        FOR number IN
            SELECT seq FROM log
            WHERE uid = room AND origin = log_origin AND incarnation = log_incarnation AND seq > reached ORDER BY seq
        LOOP
            EXIT WHEN number > reached + 1;
            reached := number;
            EXIT WHEN number + 1 = known.low;
        END LOOP;
        EXIT WHEN known.low IS NULL OR reached + 1 <> known.low;
    END LOOP;
    SELECT seq INTO number FROM log
    WHERE uid = room AND origin = log_origin AND incarnation = log_incarnation ORDER BY seq DESC LIMIT 1;
    INSERT INTO frontiers (uid, origin, incarnation, low, top, highest)
    VALUES (room, log_origin, log_incarnation, lowest, reached, number)
    ON CONFLICT (uid, origin, incarnation)
    DO UPDATE SET low = excluded.low, top = excluded.top, highest = excluded.highest;
END
$$;

-- Moves the frontiers of logs that have new entries. In the usual case, new logs and the next numbers of logs without
-- later entries, that is one statement; whatever it leaves alone is counted anew.
CREATE FUNCTION extend_frontiers(uids uuid[], origins text[], incarnations bigint[], seqs bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    logs  bigint;
    moved bigint;
BEGIN
    WITH added AS MATERIALIZED (
        SELECT uid, origin, incarnation, min(seq) AS low, max(seq) AS top, count(DISTINCT seq) AS numbers
        FROM unnest(uids, origins, incarnations, seqs) AS entry (uid, origin, incarnation, seq)
        GROUP BY 1, 2, 3
    ), extended AS (
        INSERT INTO frontiers AS held (uid, origin, incarnation, low, top, highest)
        SELECT uid, origin, incarnation, low, top, top FROM added WHERE numbers = top - low + 1
        ON CONFLICT (uid, origin, incarnation) DO UPDATE SET top = excluded.top, highest = excluded.top
        WHERE held.top = excluded.low - 1 AND held.highest = held.top
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM added), (SELECT count(*) FROM extended) INTO logs, moved;
    IF moved < logs THEN
        PERFORM recount_log(uid, origin, incarnation)
        FROM (SELECT DISTINCT uid, origin, incarnation
              FROM unnest(uids, origins, incarnations) AS entry (uid, origin, incarnation)) AS touched;
    END IF;
END
$$;

-- Changes the numbers of shown entries by what has become of entries at these places.
CREATE FUNCTION count_shown(uids uuid[], arrivals bigint[], hlcs bigint[], changes integer[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chapters AS held (uid, chapter, shown, first, last)
    SELECT uid, arrival / 1024, sum(change), min(hlc), max(hlc)
    FROM unnest(uids, arrivals, hlcs, changes) AS entry (uid, arrival, hlc, change)
    GROUP BY 1, 2
    ON CONFLICT (uid, chapter) DO UPDATE SET shown = held.shown + excluded.shown,
        first = least(held.first, excluded.first), last = greatest(held.last, excluded.last);
END
$$;

-- The rooms in which an event id is held at another position than that of the entry which comes with it.
CREATE FUNCTION ids_elsewhere(uids uuid[], origins text[], incarnations bigint[], seqs bigint[], ids uuid[])
RETURNS uuid[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(DISTINCT held.uid), '{}')
        FROM unnest(uids, ids, origins, incarnations, seqs) AS entry (uid, id, origin, incarnation, seq)
        JOIN log AS held ON held.uid = entry.uid AND held.id = entry.id
        WHERE (held.origin, held.incarnation, held.seq) <> (entry.origin, entry.incarnation, entry.seq));
END
$$;

-- Appends entries, leaving out those of which the position is held. `places` are those of their rooms, which have them
-- reserved. An event id that is held at another position is an error, unique_violation.
CREATE FUNCTION add_entries(
    uids uuid[], places bigint[], origins text[], incarnations bigint[], seqs bigint[], hlcs bigint[], ids uuid[],
    nicks text[], oids text[], sizes integer[], hidden boolean[], digests uuid[], events text[], contents text[]
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    added_uids     uuid[];
    added_arrivals bigint[];
    added_hlcs     bigint[];
    added_shown    integer[];
BEGIN
    WITH added AS (
        INSERT INTO log (
            uid, arrival, origin, incarnation, seq, hlc, id, nick, oid, bytes, withheld, digest, event, content)
        SELECT * FROM unnest(
            uids, places, origins, incarnations, seqs, hlcs, ids, nicks, oids, sizes, hidden, digests, events, contents)
        ON CONFLICT (uid, origin, incarnation, seq) DO NOTHING
        RETURNING uid, arrival, hlc, (NOT withheld)::integer AS shown
    )
    SELECT array_agg(uid), array_agg(arrival), array_agg(hlc), array_agg(shown) FROM added
    INTO added_uids, added_arrivals, added_hlcs, added_shown;
    -- The index of ids sees what is inserted; what is left out, being held, is looked up.
    IF coalesce(cardinality(added_uids), 0) < cardinality(uids)
        AND ids_elsewhere(uids, origins, incarnations, seqs, ids) <> '{}'
    THEN
        RAISE unique_violation;
    END IF;
    PERFORM count_shown(added_uids, added_arrivals, added_hlcs, added_shown);
    PERFORM extend_frontiers(uids, origins, incarnations, seqs);
END
$$;
