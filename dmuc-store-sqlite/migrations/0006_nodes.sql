-- Several nodes: whether another one asked for a lease, and which rooms a dead one has left behind.
ALTER TABLE leases ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX leases_held ON leases (expires) WHERE released = 0;
