-- Runs that are being made: a draft becomes a run, or is removed.

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

-- Removes a run or a draft, unless a write was noted for it.
CREATE FUNCTION discard(r text) RETURNS void LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    IF EXISTS (SELECT FROM writes w WHERE w.run = r) THEN RETURN; END IF;
    DELETE FROM run x WHERE x.run = r;
    DELETE FROM register g WHERE g.run = r;
    PERFORM drop_draft(r);
END $$;

-- Records what is known of lines before a run begins; false: the draft does not exist any more.
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

-- Makes a draft a run; false: the draft does not exist any more.
CREATE FUNCTION begin_run(r text, header json, part json, job_key text) RETURNS bool LANGUAGE plpgsql SET search_path = idshift AS $$
BEGIN
    DELETE FROM draft d WHERE d.run = r;
    IF NOT FOUND THEN
        -- This is a repetition after a lost answer. It writes, so that it waits for the standby again.
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
