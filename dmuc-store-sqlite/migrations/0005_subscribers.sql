-- In which rooms somebody subscribes.
CREATE INDEX subscribers ON parts (key, uid) WHERE key GLOB 'subscriber/*';
