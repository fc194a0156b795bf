-- Of each chapter of a room's archive, how many entries are shown that arrived after `after` and before `before` and are
-- stamped from `since` to `until`. Chapters that lie wholly within are not read.
-- (IS TRUE keeps the planner from looking a chapter's stamps up in the index of all stamps.)
CREATE FUNCTION shown_by_chapter(room uuid, after bigint, before bigint, since bigint, until bigint)
RETURNS TABLE (chapter bigint, entries bigint)
LANGUAGE sql STABLE AS $$
    SELECT held.chapter, CASE
        WHEN held.chapter * 1024 > after AND held.chapter * 1024 + 1023 < before
            AND held.first >= since AND held.last <= until
        THEN held.shown
        ELSE (
            SELECT count(*) FROM log
            WHERE log.uid = room AND NOT log.withheld
            AND log.arrival BETWEEN greatest(held.chapter * 1024, after + 1) AND least(held.chapter * 1024 + 1023, before - 1)
            AND (log.hlc BETWEEN since AND until) IS TRUE)
        END
    FROM chapters AS held
    WHERE held.uid = room AND held.chapter BETWEEN after / 1024 AND before / 1024
    AND held.last >= since AND held.first <= until
$$;
