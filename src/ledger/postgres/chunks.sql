-- Chunks: ranges of lines of a run, and which of several sessions works on each.

-- Whether a session of a run works on it no more: it has ended, or its process is gone; `gone` are processes of which the
-- caller knows that. Waits for nothing: a process that is about to renew its lease is there.
CREATE FUNCTION has_left(r text, s int, gone text[]) RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    q process;
BEGIN
    SELECT q_.* INTO q FROM sessions x JOIN process q_ USING (process) WHERE x.run = r AND x.session = s AND x.ended IS NULL;
    IF NOT FOUND OR q.process = ANY (gone) THEN RETURN true; END IF;
    IF q.held_until + q.grace >= clock_timestamp() THEN RETURN false; END IF;
    -- Again, with no renewal under way: one that comes later finds that the lease was over.
    SELECT * INTO q FROM process x WHERE x.process = q.process FOR UPDATE SKIP LOCKED;
    RETURN FOUND AND q.held_until + q.grace < clock_timestamp();
END $$;

-- A chunk for a session, if there is one that no other session works on. `known` are those that the session knows to have:
-- another one that is its own was given to it in an answer that was lost.
CREATE FUNCTION claim(r text, p smallint, s int, known int[], gone text[])
RETURNS SETOF chunk LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    c chunk; is_alone bool;
BEGIN
    SELECT g.alone INTO is_alone FROM progress g JOIN orders o USING (run)
        WHERE g.run = r AND g.pass = p AND g.state = 'running' AND NOT o.paused AND NOT o.draining;
    IF NOT FOUND OR NOT EXISTS (SELECT FROM sessions x WHERE x.run = r AND x.session = s AND x.ended IS NULL) THEN
        RETURN;
    END IF;
    IF is_alone THEN
        PERFORM FROM progress g WHERE g.run = r FOR UPDATE;
        IF EXISTS (SELECT FROM chunk x WHERE x.run = r AND x.state = 'leased' AND x.session <> s
                AND NOT has_left(r, x.session, gone)) THEN
            RETURN;
        END IF;
    END IF;
    FOR c IN SELECT * FROM chunk x WHERE x.run = r AND x.pass = p AND x.state <> 'done' ORDER BY x.n LOOP
        CONTINUE WHEN c.state = 'leased' AND CASE c.session WHEN s THEN c.n = ANY (known)
            ELSE NOT has_left(r, c.session, gone) END;
        PERFORM FROM chunk x WHERE x.run = r AND x.pass = p AND x.n = c.n AND x.state = c.state AND x.lease = c.lease
            FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        RETURN QUERY UPDATE chunk x SET state = 'leased', session = s, lease = x.lease + 1
            WHERE x.run = r AND x.pass = p AND x.n = c.n RETURNING x.*;
        RETURN;
    END LOOP;
END $$;

-- The barrier between passes: of all workers that find a pass without open chunks, one moves the run on.
CREATE FUNCTION advance(r text, p smallint, following smallint, ns int[], los bigint[], his bigint[])
RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    PERFORM 1 FROM progress g WHERE g.run = r AND g.pass = p AND g.state = 'running' FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM chunk c WHERE c.run = r AND c.pass = p AND c.state <> 'done') THEN
        RETURN false;
    END IF;
    INSERT INTO chunk (run, pass, n, lo, hi) SELECT r, following, x.* FROM unnest(ns, los, his) x;
    UPDATE progress g SET pass = following WHERE g.run = r;
    RETURN true;
END $$;
