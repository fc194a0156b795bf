-- The rooms that strangers may find, in order of address: those whose `card` part says `"public":true`.
ALTER TABLE rooms ADD COLUMN public INTEGER NOT NULL DEFAULT 0;
-- Of all that is asked of the directory nothing but a page's cards is read outside of this index.
CREATE INDEX rooms_public ON rooms (domain, public, jid);

UPDATE rooms SET public = 1 WHERE EXISTS (
    SELECT 1 FROM parts WHERE parts.uid = rooms.uid AND parts.key = 'card'
    AND CASE WHEN json_valid(parts.value) THEN json_extract(parts.value, '$.public') = 1 ELSE 0 END
);

CREATE TRIGGER card_written AFTER INSERT ON parts WHEN NEW.key = 'card' BEGIN
    UPDATE rooms SET public = coalesce(
        CASE WHEN json_valid(NEW.value) THEN json_extract(NEW.value, '$.public') = 1 END, 0
    ) WHERE uid = NEW.uid;
END;

CREATE TRIGGER card_rewritten AFTER UPDATE OF value ON parts WHEN NEW.key = 'card' BEGIN
    UPDATE rooms SET public = coalesce(
        CASE WHEN json_valid(NEW.value) THEN json_extract(NEW.value, '$.public') = 1 END, 0
    ) WHERE uid = NEW.uid;
END;

CREATE TRIGGER card_dropped AFTER DELETE ON parts WHEN OLD.key = 'card' BEGIN
    UPDATE rooms SET public = 0 WHERE uid = OLD.uid;
END;
