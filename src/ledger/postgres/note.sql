-- What is recorded of a run, by its sessions and outside of them.

-- Notes the group of this number of a session once, however often it is sent. `refused` is empty if the group is on
-- record, otherwise the reason. The last three arguments are the chunks to which the group belongs, with their lease
-- numbers. If another session has some of them, `taken` says which, from 1, and nothing is noted.
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
        -- Locked until the transaction ends, so that a session that takes a chunk over sees what is noted here.
        PERFORM FROM chunk c WHERE c.run = r AND c.pass = ANY (passes) AND c.n = ANY (chunks) FOR NO KEY UPDATE;
        SELECT array_agg(k.at::int) INTO taken FROM unnest(passes, chunks, leases) WITH ORDINALITY k(pass, n, lease, at)
            WHERE NOT EXISTS (SELECT FROM chunk c WHERE c.run = r AND c.pass = k.pass AND c.n = k.n
                AND (c.state = 'leased' OR reopened <> '{}') AND c.session = s AND c.lease = k.lease);
        IF taken IS NOT NULL THEN RETURN; END IF;
        -- The session that asks for the chunk next works on the reopened lines. The chunk is freed immediately, because
        -- this session may report it as done at the same moment.
        IF reopened <> '{}' THEN
            UPDATE chunk c SET state = 'free'
                WHERE c.run = r AND (c.pass, c.n) IN (SELECT * FROM unnest(passes, chunks));
        END IF;
    END IF;
    IF calls IS NOT NULL THEN own := json_populate_record(own, calls); END IF;
    -- The row is always updated, so that the acknowledgement comes from a transaction that waits for the standby.
    UPDATE sessions x SET commits = this, seen_at = clock_timestamp(), find = own.find, read = own.read, write = own.write,
        retried = own.retried, throttled = own.throttled, limit_per_s = own.limit_per_s, active_ms = own.active_ms
        WHERE x.run = r AND x.session = s;
    IF before = this THEN RETURN; END IF;
    IF cardinality(intents) > 0 THEN INSERT INTO writes SELECT * FROM unnest(intents); END IF;
    IF cardinality(verdicts) > 0 THEN
        -- Found by their numbers, for which the planner expects few rows. Without statistics, it takes a run for a
        -- small part of the table, and would read all of its writes.
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

-- Records what no session notes, all or nothing. If the token is that of the last change, nothing is recorded again.
-- `seen` is the number of changes that the caller knows. If there are more, nothing is recorded, and `number` says how
-- many. `s`: the last session of the caller. If another process has ended it or has begun a later one, `refused` says so.
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
        -- Sessions that work together have the same epoch.
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
