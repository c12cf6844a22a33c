-- What is done in one statement, so that no process ever holds a transaction open. Each function sees what is committed when
-- each of its statements begins.

-- Renews the lease of a process; how often it was over before, so that others could take what the process holds.
CREATE FUNCTION renew(own text, lease_ms bigint) RETURNS SETOF bigint LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    q process;
BEGIN
    SELECT * INTO q FROM process x WHERE x.process = own FOR UPDATE;
    -- The time after the lock: whoever took something over meanwhile looked at an earlier one.
    RETURN QUERY UPDATE process x SET seen_at = clock_timestamp(), held_until = clock_timestamp() + lease_ms * interval '1 ms',
        lapses = q.lapses + (q.held_until + q.grace < clock_timestamp())::int
        WHERE x.process = own RETURNING x.lapses;
END $$;

-- Takes these holds, all or none. `with_others`: others may hold them for the same run, if they allow it, too.
-- Answers: a row for each that another process has, and nothing is taken; no row: they are taken.
-- `gone` are processes of which the caller knows that they have ended. A commit of a former holder that is under way is
-- waited for, and later ones find that their session has ended.
CREATE FUNCTION take(own text, at_host text, at_pid bigint, at_machine text, lease_ms bigint, grace_ms bigint,
    names text[], for_run text, with_token text, gone text[], with_others bool)
RETURNS TABLE (run text, process text, host text, pid bigint, machine text, seen_ms bigint, free_ms bigint)
LANGUAGE plpgsql SET search_path = idshift AS $$
#variable_conflict use_column
DECLARE
    now_ timestamptz; lease interval := lease_ms * interval '1 ms';
BEGIN
    PERFORM pg_advisory_xact_lock(1768190825);
    -- Against a renewal that is under way: it is over, or begins after this and finds that it lapsed.
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

-- An epoch above this one and above all that were given before; it is that of the targets that the process holds.
CREATE FUNCTION next_epoch(own text, above bigint) RETURNS bigint LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    given bigint;
BEGIN
    UPDATE counter c SET epoch = greatest(c.epoch, above) + 1 RETURNING c.epoch INTO given;
    UPDATE target t SET epoch = given FROM hold h WHERE h.process = own AND h.name = 'target ' || t.target;
    RETURN given;
END $$;

-- Makes a draft, and removes what is left of old ones.
CREATE FUNCTION make_draft(r text) RETURNS void LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    old text[];
BEGIN
    WITH gone AS (DELETE FROM draft d WHERE d.made_at < clock_timestamp() - interval '1 day' RETURNING d.run)
        SELECT array_agg(gone.run) INTO old FROM gone;
    PERFORM drop_draft(x) FROM unnest(old) x;
    INSERT INTO draft (run) VALUES (r) ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION drop_draft(r text) RETURNS void LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    DELETE FROM draft d WHERE d.run = r;
    IF EXISTS (SELECT FROM run x WHERE x.run = r) THEN RETURN; END IF;
    DELETE FROM outcomes x WHERE x.run = r;
    DELETE FROM writes x WHERE x.run = r;
    DELETE FROM piece x WHERE x.run = r;
    DELETE FROM drift x WHERE x.run = r;
    DELETE FROM unlooked x WHERE x.run = r;
    DELETE FROM wishes x WHERE x.run = r;
    DELETE FROM replaced x WHERE x.run = r;
    DELETE FROM removed x WHERE x.run = r;
END $$;

-- Removes a run that has done nothing: it is a draft, or no session of it may have written.
CREATE FUNCTION discard(r text) RETURNS void LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    IF EXISTS (SELECT FROM writes w WHERE w.run = r) THEN RETURN; END IF;
    DELETE FROM run x WHERE x.run = r;
    DELETE FROM register g WHERE g.run = r;
    PERFORM drop_draft(r);
END $$;

-- Records what is known of lines before a run begins; false: it is no draft any more.
CREATE FUNCTION put_draft(r text, gone bigint[], fresh json) RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    o outcomes;
BEGIN
    PERFORM FROM draft d WHERE d.run = r FOR UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE draft d SET made_at = clock_timestamp() WHERE d.run = r;
    o.run := r;
    DELETE FROM outcomes x WHERE x.run = r AND x.line = ANY (gone);
    INSERT INTO outcomes SELECT * FROM json_populate_recordset(o, fresh);
    RETURN true;
END $$;

-- Gives a run the key of its job, which no other run has.
CREATE FUNCTION note_job(r text, job_key text) RETURNS void LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    IF job_key IS NULL THEN RETURN; END IF;
    INSERT INTO job (key, run) VALUES (job_key, r) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % has the key % already', (SELECT j.run FROM job j WHERE j.key = job_key), job_key;
    END IF;
END $$;

-- Makes a draft a run; false: it is no draft any more.
CREATE FUNCTION begin_run(r text, header json, part json, job_key text) RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    DELETE FROM draft d WHERE d.run = r;
    IF NOT FOUND THEN
        -- Repeated after its answer was lost. It writes, and so waits for the standby again.
        UPDATE run x SET epoch = x.epoch WHERE x.run = r;
        RETURN FOUND;
    END IF;
    INSERT INTO target (target) VALUES (header ->> 'target') ON CONFLICT DO NOTHING;
    INSERT INTO run SELECT * FROM json_populate_record(NULL::run, header);
    INSERT INTO progress (run, state, phase, started_at_ms)
        VALUES (r, 'created', 'created', (header ->> 'created_at_ms')::bigint);
    INSERT INTO orders (run) VALUES (r);
    PERFORM note_job(r, job_key);
    IF part IS NOT NULL THEN
        INSERT INTO shard SELECT * FROM json_populate_record(NULL::shard, part);
    END IF;
    RETURN true;
END $$;

-- Begins a session of a process that holds the run: its number, and the number of the last write. No row: the process
-- holds the run or its target no more.
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
                -- Who joins others has their epoch, which is that of the target.
                greatest(f.epoch, (SELECT t.epoch FROM hold h JOIN run x USING (run) JOIN progress y USING (run)
                    JOIN target t ON t.target = coalesce(y.target, x.target) WHERE h.token = with_token AND h.together)), f.writing, f.version, own, with_token
            FROM json_populate_record(NULL::sessions, facts) f
            RETURNING session INTO number;
        -- Nobody joins a process that works on the run alone, before it begins a pass.
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

-- Notes the group of this number of a session, once, however often it is sent. Empty: it is on record; else why not. The
-- last three: the chunks to which it belongs, with their lease numbers; where another session has one of them, `taken` says
-- which, from 1, and nothing is noted.
CREATE FUNCTION note(r text, s int, this bigint, calls json, intents writes[], verdicts writes[], gone bigint[],
    fresh outcomes[], reopened bigint[], instead outcomes[], skipped json,
    passes smallint[] DEFAULT '{}', chunks int[] DEFAULT '{}', leases int[] DEFAULT '{}', OUT refused text, OUT taken int[])
LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    own sessions; u unlooked; failed bigint[]; before bigint;
BEGIN
    refused := '';
    SELECT * INTO own FROM sessions x WHERE x.run = r AND x.session = s FOR UPDATE;
    IF NOT FOUND THEN refused := 'its session is not on record'; RETURN; END IF;
    IF own.ended IS NOT NULL THEN refused := own.ended; RETURN; END IF;
    IF EXISTS (SELECT FROM run x JOIN progress y USING (run) JOIN target t ON t.target = coalesce(y.target, x.target)
            WHERE x.run = r AND t.epoch > own.epoch) THEN
        refused := 'another process has begun to work on its target';
        RETURN;
    END IF;
    before := own.commits;
    IF before <> this AND before <> this - 1 THEN
        refused := 'a later group of this session is on record';
        RETURN;
    END IF;
    IF before <> this AND chunks <> '{}' THEN
        -- Locked until the end: whoever takes one over sees what is noted here.
        PERFORM FROM chunk c WHERE c.run = r AND c.pass = ANY (passes) AND c.n = ANY (chunks) FOR NO KEY UPDATE;
        SELECT array_agg(k.at::int) INTO taken FROM unnest(passes, chunks, leases) WITH ORDINALITY k(pass, n, lease, at)
            WHERE NOT EXISTS (SELECT FROM chunk c WHERE c.run = r AND c.pass = k.pass AND c.n = k.n
                AND (c.state = 'leased' OR reopened <> '{}') AND c.session = s AND c.lease = k.lease);
        IF taken IS NOT NULL THEN RETURN; END IF;
        -- Lines that are opened again are left to whoever asks for the chunk next. It is free at once: this session may say
        -- in the same moment that it is done.
        IF reopened <> '{}' THEN
            UPDATE chunk c SET state = 'free'
                WHERE c.run = r AND (c.pass, c.n) IN (SELECT * FROM unnest(passes, chunks));
        END IF;
    END IF;
    IF calls IS NOT NULL THEN own := json_populate_record(own, calls); END IF;
    -- Always: so the acknowledgement comes from a transaction that waits for the standby.
    UPDATE sessions x SET commits = this, seen_at = clock_timestamp(), find = own.find, read = own.read, write = own.write,
        retried = own.retried, throttled = own.throttled, limit_per_s = own.limit_per_s, active_ms = own.active_ms
        WHERE x.run = r AND x.session = s;
    IF before = this THEN RETURN; END IF;
    IF cardinality(intents) > 0 THEN INSERT INTO writes SELECT * FROM unnest(intents); END IF;
    IF cardinality(verdicts) > 0 THEN
        -- By their numbers, of which few are expected. Without statistics a run is taken for a small part of the table, so
        -- the plan would be to read all of its writes.
        UPDATE writes x SET verdict = v.verdict, http_status = v.http_status, altered = v.altered,
            account_id_stored = v.account_id_stored, service_id_stored = v.service_id_stored,
            profile_stored = v.profile_stored
            FROM unnest(verdicts) v WHERE x.run = r AND x.write_id = v.write_id
            AND x.write_id = ANY (ARRAY(SELECT y.write_id FROM unnest(verdicts) y));
    END IF;
    IF gone <> '{}' THEN DELETE FROM outcomes x WHERE x.run = r AND x.line = ANY (gone); END IF;
    IF cardinality(fresh) > 0 THEN
        INSERT INTO outcomes AS x SELECT * FROM unnest(fresh) ON CONFLICT (run, line) DO UPDATE SET status = EXCLUDED.status,
            reason = EXCLUDED.reason, message = EXCLUDED.message, customer_id = EXCLUDED.customer_id,
            account_id_before = EXCLUDED.account_id_before, account_id_after = EXCLUDED.account_id_after,
            location_id = EXCLUDED.location_id, service_id_before = EXCLUDED.service_id_before,
            service_id_after = EXCLUDED.service_id_after, profile_before = EXCLUDED.profile_before,
            profile_after = EXCLUDED.profile_after, http_status = EXCLUDED.http_status, attempts = EXCLUDED.attempts,
            correlation_id = EXCLUDED.correlation_id, finished_at_ms = EXCLUDED.finished_at_ms,
            duration_ms = EXCLUDED.duration_ms, checksum = EXCLUDED.checksum;
    END IF;
    IF reopened <> '{}' THEN
        WITH d AS (DELETE FROM outcomes x WHERE x.run = r AND x.line = ANY (reopened) AND x.status = 'failed'
                RETURNING x.line)
            SELECT array_agg(d.line) INTO failed FROM d;
        INSERT INTO outcomes SELECT x.* FROM unnest(instead) x WHERE x.line = ANY (failed);
    END IF;
    u.run := r;
    IF skipped IS NOT NULL THEN
        INSERT INTO unlooked SELECT * FROM json_populate_recordset(u, skipped);
    END IF;
END $$;

-- Records what is not noted by a session, all or nothing, once for each token. `seen` is the number of changes that the caller knows;
-- where there are more, nothing is recorded, and `number` says how many. `s`: the last session of the caller; where another
-- one came after it, or has ended it, `refused` says so.
CREATE FUNCTION put(r text, s int, seen bigint, with_token text, facts json, counts json, drifted json, gone bigint[],
    fresh json, none_found bool, no_unlooked bool, meant json, digests bigint[], files json,
    OUT number bigint, OUT done bool, OUT refused text)
LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    p progress; o outcomes; c closed; d drift; m wishes; f removed;
BEGIN
    done := false; refused := '';
    SELECT * INTO p FROM progress x WHERE x.run = r FOR UPDATE;
    IF NOT FOUND THEN refused := 'it is not there'; RETURN; END IF;
    number := p.changes;
    IF s IS NOT NULL THEN
        SELECT coalesce(min(x.ended), '') INTO refused FROM sessions x
            WHERE x.run = r AND x.session = s AND x.ended <> 'its process has left it';
        -- Those that work together have one epoch.
        IF EXISTS (SELECT FROM sessions x JOIN sessions own ON own.run = r AND own.session = s
                WHERE x.run = r AND x.session > s AND x.epoch > own.epoch) THEN
            refused := 'another process works on it';
        END IF;
        IF refused <> '' THEN RETURN; END IF;
    END IF;
    done := p.changed_by = with_token OR p.changes = seen;
    IF NOT done THEN RETURN; END IF;
    IF p.changed_by = with_token THEN
        UPDATE progress x SET changes = x.changes WHERE x.run = r;
        RETURN;
    END IF;
    number := seen + 1;
    IF facts IS NOT NULL THEN p := json_populate_record(p, facts); END IF;
    UPDATE progress x SET state = p.state, phase = p.phase, exit_code = p.exit_code, stopped_by = p.stopped_by,
        why = p.why, started_at_ms = p.started_at_ms, finished_at_ms = p.finished_at_ms, base_url = p.base_url,
        target = p.target, former_targets = p.former_targets, settings = p.settings, plan_digest = p.plan_digest,
        forecast = p.forecast, near_misses = p.near_misses, estimate = p.estimate, cannot_undo = p.cannot_undo,
        audit_round = p.audit_round, pruned_at_ms = p.pruned_at_ms, half_done = p.half_done,
        wave = p.wave, wave_lines = p.wave_lines,
        changes = put.number, changed_by = with_token
        WHERE x.run = r;
    c.run := r; d.run := r; o.run := r; m.run := r; f.run := r;
    IF counts IS NOT NULL THEN
        SELECT coalesce(sum(x.commits), 0) INTO c.commits FROM sessions x WHERE x.run = r;
        DELETE FROM closed x WHERE x.run = r;
        INSERT INTO closed SELECT * FROM json_populate_recordset(c, counts);
    END IF;
    IF drifted IS NOT NULL THEN
        DELETE FROM drift x WHERE x.run = r;
        INSERT INTO drift SELECT * FROM json_populate_recordset(d, drifted);
    END IF;
    IF none_found THEN
        DELETE FROM outcomes x WHERE x.run = r AND x.status NOT IN ('changed', 'failed', 'in_doubt');
    END IF;
    IF none_found OR no_unlooked THEN DELETE FROM unlooked x WHERE x.run = r; END IF;
    DELETE FROM outcomes x WHERE x.run = r AND x.line = ANY (gone);
    IF fresh IS NOT NULL THEN
        INSERT INTO outcomes SELECT * FROM json_populate_recordset(o, fresh);
    END IF;
    IF meant IS NOT NULL THEN
        INSERT INTO wishes SELECT * FROM json_populate_recordset(m, meant) ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO replaced (run, digest) SELECT r, x FROM unnest(digests) x ON CONFLICT DO NOTHING;
    IF files IS NOT NULL THEN
        INSERT INTO removed SELECT * FROM json_populate_recordset(f, files) ON CONFLICT DO NOTHING;
    END IF;
END $$;
