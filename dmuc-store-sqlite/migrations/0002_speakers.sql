-- Archive queries select by nick and by occupant id; the latter is known of everybody, a real JID is not.
DROP INDEX log_arrival;
ALTER TABLE log DROP COLUMN jid;
ALTER TABLE log ADD COLUMN nick TEXT;
ALTER TABLE log ADD COLUMN oid TEXT;
UPDATE log SET nick = json_extract(event, '$.nick'), oid = json_extract(event, '$.oid');
-- With all that archive queries select by, so that neither counting nor looking for a speaker reads the entries.
CREATE INDEX log_arrival ON log (uid, arrival, hlc, withheld, oid, nick);
