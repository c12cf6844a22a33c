-- Chunks: ranges of lines of a run, and which of several sessions works on each.

-- Returns whether a session no longer works on a run: it has ended, or its process is gone. `gone` are processes that
-- the caller knows to have ended. Waits for nothing: a process that is about to renew its lease counts as present.
CREATE FUNCTION has_left(r text, s int, gone text[]) RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    q process;
BEGIN
    SELECT q_.* INTO q FROM sessions x JOIN process q_ USING (process) WHERE x.run = r AND x.session = s AND x.ended IS NULL;
    IF NOT FOUND OR q.process = ANY (gone) THEN RETURN true; END IF;
    IF q.held_until + q.grace >= clock_timestamp() THEN RETURN false; END IF;
    -- Checks again while no renewal is under way. A later renewal finds that the lease was over.
    SELECT * INTO q FROM process x WHERE x.process = q.process FOR SHARE SKIP LOCKED;
    RETURN FOUND AND q.held_until + q.grace < clock_timestamp();
END $$;

-- Returns the sessions of a run with a process that holds its lease or may have calls under way. Locks nothing: a
-- session with a lease that is just over is returned again a moment after its renewal.
CREATE FUNCTION at_work(r text, gone text[]) RETURNS SETOF int LANGUAGE sql SET search_path = idshift AS $$
    SELECT x.session FROM sessions x JOIN process q USING (process) WHERE x.run = r AND x.ended IS NULL
        AND q.process <> ALL (gone) AND q.held_until + q.grace >= clock_timestamp()
$$;

-- Whether an earlier session of the run is at work. Where one session works at a time, this one then stands by.
CREATE FUNCTION stands_by(r text, s int, gone text[]) RETURNS bool LANGUAGE sql SET search_path = idshift AS $$
    SELECT EXISTS (SELECT FROM at_work(r, gone) x WHERE x < s)
$$;

-- Records that a session has finished these chunks, and gives it at most `wanted` others that no other session works on.
-- `known`: the chunks that the session knows to have. A chunk that is its own and not known was given in an answer that was lost.
-- A session with chunks gets another one only if twice as many are free, so that sessions that join later get some, also of a
-- small file. With the chunks come numbers for the next writes, `many` for each chunk, above those of all writes noted before.
CREATE FUNCTION claim(r text, p smallint, s int, known int[], gone text[], ended int[], leases int[], wanted int, many bigint)
RETURNS TABLE (n int, lease int, lo bigint, hi bigint, above bigint, up_to bigint)
LANGUAGE plpgsql SET search_path = idshift AS $$
#variable_conflict use_column
DECLARE
    is_alone bool; c chunk; got int[] := '{}'; last bigint; has int := cardinality(known); free bigint;
BEGIN
    -- The row of `progress` is locked before those of `chunk`, as everywhere.
    PERFORM FROM progress g WHERE g.run = r FOR UPDATE;
    IF ended <> '{}' THEN
        UPDATE chunk x SET state = 'done' FROM unnest(ended, leases) e(n, lease)
            WHERE x.run = r AND x.pass = p AND x.n = e.n AND x.n = ANY (ended)
            AND x.session = s AND x.lease = e.lease AND x.state = 'leased';
    END IF;
    SELECT g.alone INTO is_alone FROM progress g JOIN orders o USING (run)
        WHERE g.run = r AND g.pass = p AND g.state = 'running' AND NOT o.paused AND NOT o.draining;
    IF NOT FOUND OR NOT EXISTS (SELECT FROM sessions x WHERE x.run = r AND x.session = s AND x.ended IS NULL) THEN
        RETURN;
    END IF;
    IF is_alone AND (stands_by(r, s, gone) OR EXISTS (SELECT FROM chunk x WHERE x.run = r AND x.state = 'leased'
            AND x.session <> s AND NOT has_left(r, x.session, gone))) THEN
        RETURN;
    END IF;
    free := (SELECT count(*) FROM (SELECT FROM chunk x WHERE x.run = r AND x.pass = p AND x.state = 'free'
        LIMIT 2 * has + 3 * wanted) y);
    FOR c IN SELECT * FROM chunk x WHERE x.run = r AND x.pass = p AND x.state <> 'done' ORDER BY x.n LOOP
        EXIT WHEN cardinality(got) >= wanted OR (NOT is_alone AND free < 2 * has);
        CONTINUE WHEN c.state = 'leased' AND CASE c.session WHEN s THEN c.n = ANY (known)
            ELSE NOT has_left(r, c.session, gone) END;
        PERFORM FROM chunk x WHERE x.run = r AND x.pass = p AND x.n = c.n AND x.state = c.state AND x.lease = c.lease
            FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        UPDATE chunk x SET state = 'leased', session = s, lease = x.lease + 1
            WHERE x.run = r AND x.pass = p AND x.n = c.n;
        got := got || c.n;
        has := has + 1;
        free := free - (c.state = 'free')::int;
    END LOOP;
    IF got = '{}' THEN RETURN; END IF;
    last := give_numbers(r, many * cardinality(got));
    RETURN QUERY SELECT x.n, x.lease, x.lo, x.hi, last - many * cardinality(got), last FROM chunk x
        WHERE x.run = r AND x.pass = p AND x.n = ANY (got) ORDER BY x.n;
END $$;

-- Reserves numbers for the writes of one of several sessions, above all that were given and noted; returns the last of them.
CREATE FUNCTION give_numbers(r text, many bigint) RETURNS bigint LANGUAGE sql SET search_path = idshift AS $$
    UPDATE progress SET given = many + greatest(given, (SELECT coalesce(max(w.write_id), 0) FROM writes w WHERE w.run = r))
        WHERE run = r RETURNING given
$$;

-- Begins the pass after this one, for the session that leads the run; from now on others may join it. False: another
-- session has begun a pass, or this session has ended.
CREATE FUNCTION open_pass(r text, s int, p smallint, ns int[], los bigint[], his bigint[], is_alone bool, digest text)
RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    g progress;
BEGIN
    SELECT * INTO g FROM progress x WHERE x.run = r FOR UPDATE;
    IF NOT EXISTS (SELECT FROM sessions x WHERE x.run = r AND x.session = s AND x.ended IS NULL) THEN RETURN false; END IF;
    IF g.pass = p + 1 AND g.lead = s THEN
        -- This is a repetition after a lost answer.
        UPDATE progress x SET pass = x.pass WHERE x.run = r;
        RETURN true;
    END IF;
    IF g.pass <> p THEN RETURN false; END IF;
    DELETE FROM chunk c WHERE c.run = r;
    INSERT INTO chunk (run, pass, n, lo, hi) SELECT r, p + 1, x.* FROM unnest(ns, los, his) x;
    UPDATE progress x SET pass = p + 1, alone = is_alone, lead = s, units_digest = digest WHERE x.run = r;
    UPDATE hold h SET together = true FROM sessions x
        WHERE x.run = r AND x.session = s AND h.run = r AND h.process = x.process;
    RETURN true;
END $$;

-- Ends the work of a session. True: it closes the run, which it leads from now on if others may join. False: it has
-- ended, and another one closes the run. This is decided for one session at a time: of sessions that end at the same
-- moment, the last one closes the run. The run is closed by the session that leads it, or by another one if that session
-- is gone. If lines are left and others are at work, the run is left to them. `gives_up`: the session has not done all
-- that it could, and others may bring the run to a better end.
CREATE FUNCTION close_or_leave(r text, s int, gone text[], gives_up bool) RETURNS bool
LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    g progress; leads bool; closes bool;
BEGIN
    SELECT * INTO g FROM progress x WHERE x.run = r FOR UPDATE;
    -- The session has ended: this is a repetition after a lost answer, or another process has taken the run over.
    IF NOT EXISTS (SELECT FROM sessions x WHERE x.run = r AND x.session = s AND x.ended IS NULL) THEN RETURN false; END IF;
    leads := g.lead IS NULL OR g.lead = s;
    IF NOT leads AND (g.state <> 'running' OR NOT has_left(r, g.lead, gone)) THEN
        closes := false;
    ELSIF NOT EXISTS (SELECT FROM at_work(r, gone) x WHERE x <> s) THEN
        closes := true;
    ELSE
        closes := NOT gives_up
            AND NOT EXISTS (SELECT FROM chunk c WHERE c.run = r AND c.pass = g.pass AND c.state <> 'done');
    END IF;
    IF closes THEN
        -- A run without a lead is one that this session works on alone: also if it fails to close it, none may join.
        UPDATE progress x SET lead = s WHERE x.run = r AND x.lead IS NOT NULL;
    ELSE
        UPDATE sessions x SET ended = 'its process has left it' WHERE x.run = r AND x.session = s;
    END IF;
    RETURN closes;
END $$;

-- Stops a run in all processes: none begins a unit from now on. Records this reason, unless another process has given one before.
-- Returns an empty text if that is on record or the run is no longer in progress, otherwise why the session may not do so.
CREATE FUNCTION stop_all(r text, s int, reason text, words text) RETURNS text LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    g progress; why_ended text;
BEGIN
    SELECT * INTO g FROM progress x WHERE x.run = r FOR UPDATE;
    SELECT x.ended INTO why_ended FROM sessions x WHERE x.run = r AND x.session = s;
    IF why_ended IS NOT NULL THEN RETURN why_ended; END IF;
    IF g.state <> 'running' THEN RETURN ''; END IF;
    IF g.stopped_by IS NULL THEN
        UPDATE progress x SET stopped_by = reason, why = words, changes = x.changes + 1 WHERE x.run = r;
    END IF;
    UPDATE orders o SET number = o.number + 1, draining = true, paused = false
        WHERE o.run = r AND (o.paused OR NOT o.draining);
    RETURN '';
END $$;

-- Records how many lines have ended in a session, and returns what the others have recorded since the run was begun or
-- resumed. `standing`: `over` if the run is not in progress or is in another pass; `stands_by` if one session works at
-- a time and an earlier one does, because a session knows the run only as of its own begin.
-- `most`: how many lines may fail in the run; NULL: any number. What is left of them is divided among the sessions at
-- work, so that together they have no more than that and one each. `part`: what this session has until it calls again.
CREATE FUNCTION tell(r text, s int, p smallint, here bigint, here_failed bigint, most bigint, gone text[],
    OUT others bigint, OUT others_failed bigint, OUT standing text, OUT part bigint)
LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    given bigint; at_work_now bigint;
BEGIN
    -- One session at a time, so that no part is given to two sessions.
    PERFORM FROM progress g WHERE g.run = r FOR UPDATE;
    SELECT coalesce(sum(x.ended_lines), 0), coalesce(sum(x.failed_lines), 0) INTO others, others_failed
        FROM sessions x JOIN sessions own ON own.run = r AND own.session = s
        WHERE x.run = r AND x.session <> s AND x.epoch = own.epoch;
    SELECT count(*), coalesce(sum(x.may_fail), 0) INTO at_work_now, given
        FROM sessions x JOIN at_work(r, gone) w ON w = x.session WHERE x.run = r AND x.session <> s;
    part := greatest((most - here_failed - others_failed - given) / (at_work_now + 1), 1);
    UPDATE sessions x SET ended_lines = here, failed_lines = here_failed, may_fail = part, seen_at = clock_timestamp()
        WHERE x.run = r AND x.session = s;
    SELECT CASE WHEN g.state <> 'running' OR g.pass <> p THEN 'over' WHEN g.alone AND stands_by(r, s, gone) THEN 'stands_by'
        ELSE 'goes_on' END INTO standing FROM progress g WHERE g.run = r;
END $$;

-- Returns the runs that others may join: lines are left that no session has finished, or the session that closes the
-- run is gone; where one session works at a time, none is at work. Leaves out runs of a target that another run has
-- worked on since: a person who resumes such a run is told of that.
CREATE FUNCTION runs_to_join(gone text[]) RETURNS TABLE (run text, system text, target text, is_led bool)
LANGUAGE sql SET search_path = idshift AS $$
    SELECT x.run, x.system, coalesce(g.target, x.target), NOT has_left(x.run, g.lead, gone) FROM progress g JOIN run x USING (run) JOIN orders o USING (run)
        JOIN sessions l ON l.run = x.run AND l.session = g.lead JOIN target t ON t.target = coalesce(g.target, x.target)
    WHERE g.state = 'running' AND t.epoch <= l.epoch AND NOT (g.alone AND EXISTS (SELECT FROM at_work(x.run, gone))) AND (has_left(x.run, g.lead, gone)
        OR NOT o.draining AND EXISTS (SELECT FROM chunk c WHERE c.run = x.run AND c.pass = g.pass AND c.state <> 'done'))
    ORDER BY x.epoch, x.run
$$;
