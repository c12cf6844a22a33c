-- Processes, what each of them holds, and their sessions on runs. Each function is one statement of its caller, so that
-- no process ever holds a transaction open. Each statement of a function sees what is committed when it begins.

-- Renews the lease of a process; returns how often it was over before, so that others could take what the process holds.
CREATE FUNCTION renew(own text, lease_ms bigint) RETURNS SETOF bigint LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    q process;
BEGIN
    SELECT * INTO q FROM process x WHERE x.process = own FOR UPDATE;
    -- The time is read after the lock: a process that took something over meanwhile has compared with an earlier time.
    RETURN QUERY UPDATE process x SET seen_at = clock_timestamp(), held_until = clock_timestamp() + lease_ms * interval '1 ms',
        lapses = q.lapses + (q.held_until + q.grace < clock_timestamp())::int
        WHERE x.process = own RETURNING x.lapses;
END $$;

-- Takes these holds, all or none. `with_others`: others may have them for the same run, if they allow it, too.
-- Returns a row for each hold that another process has, and takes nothing; no row: they are taken.
-- `gone` are processes that the caller knows to have ended. Waits for a commit of a former holder that is under way;
-- later commits find that their session has ended.
CREATE FUNCTION take(own text, at_host text, at_pid bigint, at_machine text, lease_ms bigint, grace_ms bigint,
    names text[], for_run text, with_token text, gone text[], with_others bool)
RETURNS TABLE (run text, process text, host text, pid bigint, machine text, seen_ms bigint, free_ms bigint)
LANGUAGE plpgsql SET search_path = idshift AS $$
#variable_conflict use_column
DECLARE
    now_ timestamptz; lease interval := lease_ms * interval '1 ms';
BEGIN
    PERFORM pg_advisory_xact_lock(1768190825);
    -- Waits for a renewal that is under way. A renewal that begins later finds that the lease has lapsed.
    PERFORM FROM process q WHERE q.process IN (SELECT h.process FROM hold h WHERE h.name = ANY (names))
        ORDER BY q.process FOR UPDATE;
    now_ := clock_timestamp();
    INSERT INTO process VALUES (own, at_host, at_pid, at_machine, now_, now_ + lease, grace_ms * interval '1 ms')
        ON CONFLICT (process) DO UPDATE SET seen_at = now_, held_until = clock_timestamp() + lease, grace = EXCLUDED.grace,
            lapses = process.lapses + (process.held_until + process.grace < clock_timestamp())::int;
    RETURN QUERY SELECT h.run, q.process, q.host, q.pid, q.machine, (extract(epoch FROM now_ - q.seen_at) * 1000)::bigint,
            (extract(epoch FROM q.held_until + q.grace - now_) * 1000)::bigint
        FROM hold h JOIN process q USING (process)
        WHERE h.name = ANY (names) AND h.token <> with_token || h.name AND q.process <> ALL (gone)
            AND q.held_until + q.grace >= now_
            AND NOT (with_others AND h.together AND h.run = for_run AND h.process <> own)
        ORDER BY h.name;
    IF FOUND THEN RETURN; END IF;
    UPDATE sessions s SET ended = format('process %s on %s has taken it over for run %s', at_pid, at_host, for_run)
        WHERE s.ended IS NULL AND s.process IN (SELECT h.process FROM hold h
            WHERE h.name = ANY (names) AND h.token <> with_token || h.name AND h.process <> own
                AND NOT (with_others AND h.together AND h.run = for_run));
    DELETE FROM hold h WHERE h.name = ANY (names) AND h.process <> own
        AND NOT (with_others AND h.together AND h.run = for_run);
    INSERT INTO hold (name, process, run, token, together)
        SELECT x, own, for_run, with_token || x, with_others FROM unnest(names) x
        ON CONFLICT (name, process) DO UPDATE SET run = EXCLUDED.run, token = EXCLUDED.token, together = EXCLUDED.together;
    INSERT INTO target (target) SELECT substr(x, 8) FROM unnest(names) x WHERE x LIKE 'target %' ON CONFLICT DO NOTHING;
    DELETE FROM process q WHERE q.held_until < now_ - interval '1 day'
        AND NOT EXISTS (SELECT FROM hold h WHERE h.process = q.process);
END $$;

-- Returns an epoch above this one and above all that were given before, and records it for the targets that the process holds.
CREATE FUNCTION next_epoch(own text, above bigint) RETURNS bigint LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    given bigint;
BEGIN
    UPDATE counter c SET epoch = greatest(c.epoch, above) + 1 RETURNING c.epoch INTO given;
    UPDATE target t SET epoch = given FROM hold h WHERE h.process = own AND h.name = 'target ' || t.target;
    RETURN given;
END $$;

-- Begins a session of a process that holds the run; returns its number, and the number of the last write. No row: the
-- process no longer holds the run or its target.
CREATE FUNCTION begin_session(r text, own text, with_token text, facts json) RETURNS TABLE (number int, last_write bigint)
LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    base sessions;
BEGIN
    PERFORM pg_advisory_xact_lock(1768190825);
    IF NOT EXISTS (SELECT FROM hold h WHERE h.name = 'run ' || r AND h.token = with_token)
        OR EXISTS (SELECT FROM run x JOIN progress y USING (run)
            JOIN hold h ON h.name = 'target ' || coalesce(y.target, x.target)
            WHERE x.run = r AND h.process <> own AND NOT (h.together AND h.run = r)) THEN
        RETURN;
    END IF;
    SELECT s.session INTO number FROM sessions s WHERE s.run = r AND s.token = with_token;
    IF NOT FOUND THEN
        INSERT INTO sessions (run, session, started_at_ms, pid, host, epoch, writing, version, process, token)
            SELECT r, 1 + coalesce((SELECT max(s.session) FROM sessions s WHERE s.run = r), 0),
                f.started_at_ms, f.pid, f.host,
                -- A process that joins others gets their epoch, which is that of the target.
                greatest(f.epoch, (SELECT t.epoch FROM hold h JOIN run x USING (run) JOIN progress y USING (run)
                    JOIN target t ON t.target = coalesce(y.target, x.target) WHERE h.token = with_token AND h.together)), f.writing, f.version, own, with_token
            FROM json_populate_record(NULL::sessions, facts) f
            RETURNING session INTO number;
        -- No process may join one that works on the run alone, before that begins a pass.
        UPDATE progress y SET lead = NULL FROM hold h WHERE y.run = r AND h.token = with_token AND NOT h.together;
    ELSE
        UPDATE sessions s SET seen_at = clock_timestamp() WHERE s.run = r AND s.session = number;
    END IF;
    SELECT coalesce(max(w.write_id), 0) INTO last_write FROM writes w WHERE w.run = r;
    RETURN NEXT;
END $$;

-- Ends a session and frees the run.
CREATE FUNCTION end_session(r text, s int, with_token text) RETURNS void LANGUAGE sql SET search_path = idshift AS $$
    UPDATE sessions SET ended = 'its process has left it' WHERE run = r AND session = s AND ended IS NULL;
    DELETE FROM hold WHERE token = with_token;
$$;
