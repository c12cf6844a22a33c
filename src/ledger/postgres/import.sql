-- Takes in runs that were kept in files. The process that does so holds the targets of the run meanwhile. If another
-- process has taken one of them over, nothing more of the run is taken in.

-- Whether a process has these holds; they are locked until the transaction ends.
CREATE FUNCTION has_holds(own text, names text[]) RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    PERFORM FROM hold h WHERE h.process = own AND h.name = ANY (names) FOR SHARE;
    RETURN NOT EXISTS (SELECT FROM unnest(names) x
        WHERE NOT EXISTS (SELECT FROM hold h WHERE h.process = own AND h.name = x));
END $$;

-- Begins with an empty draft, and removes what an earlier import has left; false: a target was taken over, or the run exists.
CREATE FUNCTION begin_import(r text, own text, names text[]) RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    IF NOT has_holds(own, names) OR EXISTS (SELECT FROM run x WHERE x.run = r) THEN RETURN false; END IF;
    PERFORM drop_draft(r);
    PERFORM make_draft(r);
    RETURN true;
END $$;

-- Takes in some rows of one table, once, however often they are sent.
CREATE FUNCTION import_page(r text, own text, names text[], what text, page json) RETURNS bool
LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    o outcomes; w writes; u unlooked; d drift; m wishes; g replaced; f removed;
BEGIN
    IF NOT has_holds(own, names) THEN RETURN false; END IF;
    UPDATE draft x SET made_at = clock_timestamp() WHERE x.run = r;
    IF NOT FOUND THEN RETURN false; END IF;
    CASE what
        WHEN 'outcomes' THEN
            o.run := r;
            INSERT INTO outcomes SELECT * FROM json_populate_recordset(o, page) ON CONFLICT DO NOTHING;
        WHEN 'writes' THEN
            w.run := r;
            INSERT INTO writes SELECT * FROM json_populate_recordset(w, page) ON CONFLICT DO NOTHING;
        WHEN 'unlooked' THEN
            u.run := r;
            INSERT INTO unlooked SELECT * FROM json_populate_recordset(u, page) ON CONFLICT DO NOTHING;
        WHEN 'drift' THEN
            d.run := r;
            INSERT INTO drift SELECT * FROM json_populate_recordset(d, page) ON CONFLICT DO NOTHING;
        WHEN 'wishes' THEN
            m.run := r;
            INSERT INTO wishes SELECT * FROM json_populate_recordset(m, page) ON CONFLICT DO NOTHING;
        WHEN 'replaced' THEN
            g.run := r;
            INSERT INTO replaced SELECT * FROM json_populate_recordset(g, page) ON CONFLICT DO NOTHING;
        WHEN 'removed' THEN
            f.run := r;
            INSERT INTO removed SELECT * FROM json_populate_recordset(f, page) ON CONFLICT DO NOTHING;
    END CASE;
    RETURN true;
END $$;

-- Makes a run of what was taken in, and records its facts, sessions and counts. `above`: the highest epoch in it.
-- `with_token` distinguishes a repetition after a lost answer from another import.
CREATE FUNCTION finish_import(r text, own text, names text[], with_token text, above bigint, header json, part json,
    job_key text, facts json, all_sessions json, counts json, known json)
RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    p progress; c closed;
BEGIN
    IF EXISTS (SELECT FROM progress x WHERE x.run = r AND x.changed_by = with_token) THEN
        UPDATE progress x SET changed_by = x.changed_by WHERE x.run = r;
        RETURN true;
    END IF;
    IF NOT has_holds(own, names) THEN RETURN false; END IF;
    DELETE FROM draft d WHERE d.run = r;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO target (target) VALUES (header ->> 'target') ON CONFLICT DO NOTHING;
    INSERT INTO run SELECT * FROM json_populate_record(NULL::run, header);
    INSERT INTO progress (run, state, phase, started_at_ms, changed_by) VALUES (r, 'created', 'created', 0, with_token)
        RETURNING * INTO p;
    p := json_populate_record(p, facts);
    DELETE FROM progress x WHERE x.run = r;
    INSERT INTO progress SELECT p.*;
    INSERT INTO orders (run) VALUES (r);
    PERFORM note_job(r, job_key);
    IF part IS NOT NULL THEN
        INSERT INTO shard SELECT * FROM json_populate_record(NULL::shard, part);
    END IF;
    INSERT INTO sessions (run, session, started_at_ms, pid, host, epoch, writing, find, read, write, retried, throttled,
            active_ms, limit_per_s, ended)
        SELECT r, x.session, x.started_at_ms, x.pid, x.host, x.epoch, x.writing, x.find, x.read, x.write, x.retried,
            x.throttled, x.active_ms, x.limit_per_s, 'its process has left it'
        FROM json_populate_recordset(NULL::sessions, all_sessions) x;
    -- None of its sessions has committed anything here.
    c.run := r; c.commits := 0;
    INSERT INTO closed SELECT * FROM json_populate_recordset(c, counts);
    INSERT INTO register SELECT * FROM json_populate_record(NULL::register, known)
        ON CONFLICT (run) DO UPDATE SET path = EXCLUDED.path, system = EXCLUDED.system, target = EXCLUDED.target,
            epoch = EXCLUDED.epoch, renames = EXCLUDED.renames, customer_id = EXCLUDED.customer_id,
            reseller = EXCLUDED.reseller;
    UPDATE counter k SET epoch = greatest(k.epoch, above);
    RETURN true;
END $$;

-- Removes what was taken in of a run that was not finished, unless another import has begun.
CREATE FUNCTION leave_import(r text, own text, names text[]) RETURNS void LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    IF has_holds(own, names) THEN PERFORM drop_draft(r); END IF;
END $$;
