-- idshift, format 1. A row belongs to a run; the columns are those of a run's ledger.db.
CREATE TABLE format (version int PRIMARY KEY);
INSERT INTO format VALUES (1);
-- Who works on a target now, and how many runs have: in place of a lock file and the state database.
CREATE TABLE target (
    target text PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0, run text, held_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE TABLE run (
    run text PRIMARY KEY, kind text NOT NULL, system text NOT NULL, base_url text NOT NULL,
    tenant text NOT NULL, target text NOT NULL REFERENCES target, input_name text NOT NULL, input_sha256 text NOT NULL,
    lines bigint NOT NULL, origins text NOT NULL, settings text NOT NULL, parent text,
    "user" text NOT NULL, host text NOT NULL, zone text NOT NULL, tool_version text NOT NULL,
    created_at_ms bigint NOT NULL, epoch bigint NOT NULL, checksum bigint NOT NULL
);
CREATE INDEX run_of_target ON run (target, epoch);
CREATE TABLE progress (
    run text PRIMARY KEY REFERENCES run ON DELETE CASCADE,
    state text NOT NULL, phase text NOT NULL, exit_code int, stopped_by text, why text NOT NULL DEFAULT '',
    started_at_ms bigint NOT NULL, finished_at_ms bigint,
    base_url text, target text, former_targets text NOT NULL DEFAULT '',
    settings text, plan_digest text, forecast text, near_misses text, estimate text, cannot_undo text,
    audit_round bigint, pruned_at_ms bigint, half_done bigint,
    wave bigint, wave_lines text,
    -- The pass that the workers are at, and whether one worker works at a time.
    pass smallint NOT NULL DEFAULT 0, alone bool NOT NULL DEFAULT false
);
-- The run's copy of its file, compressed (zstd), a MiB each.
CREATE TABLE piece (run text REFERENCES run ON DELETE CASCADE, n int, bytes bytea NOT NULL, PRIMARY KEY (run, n));
ALTER TABLE piece ALTER bytes SET STORAGE EXTERNAL;
CREATE TABLE drift (
    run text REFERENCES run ON DELETE CASCADE,
    line bigint, cause text NOT NULL, nights int NOT NULL, key bigint NOT NULL, checksum bigint NOT NULL,
    PRIMARY KEY (run, line)
);
CREATE TABLE unlooked (
    run text REFERENCES run ON DELETE CASCADE,
    last_line bigint, first_line bigint NOT NULL, lines bigint NOT NULL, message text NOT NULL, noted_at_ms bigint NOT NULL,
    packed bytea NOT NULL, checksum bigint NOT NULL, PRIMARY KEY (run, last_line)
);
CREATE TABLE shard (
    run text PRIMARY KEY REFERENCES run ON DELETE CASCADE,
    shard text NOT NULL, lines bytea NOT NULL, checksum bigint NOT NULL
);
CREATE TABLE wishes (
    run text REFERENCES run ON DELETE CASCADE,
    wish bigint, customer_id text, checksum bigint NOT NULL, PRIMARY KEY (run, wish, customer_id)
);
CREATE TABLE replaced (run text REFERENCES run ON DELETE CASCADE, digest bigint, PRIMARY KEY (run, digest));
CREATE TABLE removed (
    run text REFERENCES run ON DELETE CASCADE,
    name text, sha256 text NOT NULL, bytes bigint NOT NULL, PRIMARY KEY (run, name)
);
-- `commits`: the sum over the sessions when the counts were made; with another sum they are out of date.
CREATE TABLE closed (
    run text REFERENCES run ON DELETE CASCADE,
    status text, reason text, lines bigint NOT NULL, first_line bigint NOT NULL, commits bigint NOT NULL,
    PRIMARY KEY (run, status, reason)
);
CREATE TABLE orders (
    run text PRIMARY KEY REFERENCES run ON DELETE CASCADE,
    number bigint NOT NULL DEFAULT 0, seen bigint NOT NULL DEFAULT 0,
    paused bool NOT NULL DEFAULT false, draining bool NOT NULL DEFAULT false, rate_per_s float8
);
-- One row for each process that worked on the run. Each commit changes its session's row, so that an acknowledgement
-- always comes from a transaction that writes, and so waits for the standby.
CREATE TABLE sessions (
    run text REFERENCES run ON DELETE CASCADE, session int,
    started_at_ms bigint NOT NULL, pid bigint NOT NULL, host text NOT NULL,
    epoch bigint NOT NULL, writing bool NOT NULL,
    find bigint NOT NULL DEFAULT 0, read bigint NOT NULL DEFAULT 0, write bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0, throttled bigint NOT NULL DEFAULT 0,
    limit_per_s float8, active_ms bigint NOT NULL DEFAULT 0,
    egress text NOT NULL DEFAULT '', version text NOT NULL DEFAULT '', commits bigint NOT NULL DEFAULT 0,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(), ended text,
    PRIMARY KEY (run, session)
) WITH (fillfactor = 50);
-- Each write, noted before it is sent. No verdict: the answer was never noted.
CREATE TABLE writes (
    run text REFERENCES run ON DELETE CASCADE, write_id bigint, unit bigint NOT NULL, line bigint NOT NULL, attempt int NOT NULL,
    verdict text CHECK (verdict = 'applied' OR verdict = 'not_applied' OR verdict = 'unknown'), http_status int,
    customer_id text NOT NULL, reseller text,
    kind text NOT NULL CHECK (kind = 'account' OR kind = 'temporary' OR kind = 'location'),
    location_id text, account_id_before text, account_id_after text,
    service_id_before text, service_id_after text, profile_before text, profile_after text,
    altered bool NOT NULL DEFAULT false, account_id_stored text, service_id_stored text, profile_stored text,
    correlation_id text NOT NULL, noted_at_ms bigint NOT NULL, checksum bigint NOT NULL,
    PRIMARY KEY (run, write_id)
) WITH (fillfactor = 80);
CREATE INDEX writes_unit ON writes (run, unit);
-- What became of each line.
CREATE TABLE outcomes (
    run text REFERENCES run ON DELETE CASCADE, line bigint, status text NOT NULL, reason text NOT NULL, message text NOT NULL,
    customer_id text, account_id_before text, account_id_after text,
    location_id text, service_id_before text, service_id_after text, profile_before text, profile_after text,
    http_status int, attempts int NOT NULL, correlation_id text,
    finished_at_ms bigint NOT NULL, duration_ms bigint NOT NULL, checksum bigint NOT NULL,
    PRIMARY KEY (run, line)
);
-- Ranges of lines, and which session works on each: free, leased, done. `lease` counts how often it was given out.
CREATE TABLE chunk (
    run text REFERENCES run ON DELETE CASCADE, pass smallint, n int, lo bigint NOT NULL, hi bigint NOT NULL,
    state text NOT NULL DEFAULT 'free' CHECK (state = 'free' OR state = 'leased' OR state = 'done'),
    session int, lease int NOT NULL DEFAULT 0, leased_until timestamptz NOT NULL DEFAULT '-infinity',
    done bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run, pass, n)
) WITH (fillfactor = 50);
CREATE INDEX chunk_open ON chunk (run, pass, n) WHERE state <> 'done';
-- One row for each limit; `lane` is `find` or `write` (one row where they share the rate).
CREATE TABLE pace (
    target text, lane text, gap_us float8 NOT NULL, share float8 NOT NULL DEFAULT 1, next_us bigint NOT NULL DEFAULT 0,
    hold_us bigint NOT NULL DEFAULT 0, why text NOT NULL DEFAULT '', PRIMARY KEY (target, lane)
) WITH (fillfactor = 10);
-- One row for each address that calls come from.
CREATE TABLE egress (
    target text, egress text, calls int, window_us bigint, hold_us bigint NOT NULL DEFAULT 0, PRIMARY KEY (target, egress)
) WITH (fillfactor = 10);
-- Calls that count against the quota of an address.
CREATE TABLE taken (target text, egress text, until_us bigint, calls int NOT NULL);
CREATE INDEX taken_of ON taken (target, egress, until_us);

-- The next calls of a lane from an address: rate, quota and holds in one answer. Each statement sees what is committed
-- when it begins, so the sum is taken after the rows are locked; in one statement it would be of before the wait.
CREATE FUNCTION grant_calls(t text, l text, e text, wanted int, d_us bigint)
RETURNS TABLE (n int, first_us bigint, step_us float8, now_us bigint, wait_us bigint)
LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE
    p pace; g egress; used bigint; free_at bigint; now_ bigint; late bigint := 1000000;
BEGIN
    SELECT * INTO STRICT p FROM pace WHERE target = t AND lane = l FOR UPDATE;
    SELECT * INTO STRICT g FROM egress WHERE target = t AND egress.egress = e FOR UPDATE;
    now_ := (extract(epoch FROM clock_timestamp()) * 1e6)::bigint;
    step_us := p.gap_us / p.share; now_us := now_; n := wanted;
    first_us := greatest(p.next_us, now_);
    wait_us := greatest(p.hold_us, g.hold_us) - now_;
    IF wait_us > 0 THEN n := 0; RETURN NEXT; RETURN; END IF;
    IF g.calls IS NOT NULL THEN
        DELETE FROM taken x WHERE x.target = t AND x.egress = e AND x.until_us + g.window_us + late <= now_;
        SELECT coalesce(sum(x.calls), 0), min(x.until_us) INTO used, free_at
            FROM taken x WHERE x.target = t AND x.egress = e;
        n := least(wanted, g.calls - used);
        IF n <= 0 THEN n := 0; wait_us := free_at + g.window_us + late - now_; RETURN NEXT; RETURN; END IF;
        INSERT INTO taken VALUES (t, e, (first_us + n * step_us)::bigint + d_us, n);
    END IF;
    UPDATE pace SET next_us = (first_us + n * step_us)::bigint WHERE target = t AND lane = l;
    wait_us := 0; RETURN NEXT;
END $$;

-- A chunk for a session, if there is one that is free or whose holder is gone.
CREATE FUNCTION claim(r text, p smallint, s int, term interval, grace interval)
RETURNS SETOF chunk LANGUAGE sql SET search_path = idshift AS $$
    UPDATE chunk SET state = 'leased', session = s, lease = lease + 1, leased_until = clock_timestamp() + term
    WHERE (run, pass, n) = (
        SELECT c.run, c.pass, c.n
        FROM chunk c JOIN run USING (run) JOIN progress g USING (run) JOIN orders o USING (run)
            JOIN target t ON t.target = run.target AND t.epoch = run.epoch
        WHERE c.run = r AND c.pass = p AND c.state <> 'done' AND NOT o.paused AND NOT o.draining
            AND (c.state = 'free' OR c.leased_until + grace < clock_timestamp())
            AND NOT (g.alone AND EXISTS (
                SELECT FROM chunk x WHERE x.run = r AND x.state = 'leased' AND x.session <> s
                    AND x.leased_until + grace >= clock_timestamp()))
        ORDER BY c.n LIMIT 1 FOR UPDATE OF c SKIP LOCKED)
    RETURNING *
$$;

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

-- For people, as the views of a ledger.db.
CREATE VIEW results AS
    SELECT run, line, status, reason, message, customer_id, account_id_before, account_id_after, location_id,
        service_id_before, service_id_after, profile_before, profile_after, http_status, attempts,
        correlation_id, to_timestamp(finished_at_ms / 1000) AT TIME ZONE 'UTC' AS finished_at, duration_ms
    FROM outcomes;
CREATE VIEW failures AS
    SELECT * FROM results WHERE status IN ('failed', 'skipped', 'in_doubt') AND reason <> 'suppressed';
CREATE VIEW totals AS
    SELECT run, status, reason, count(*) AS lines, min(line) AS first_line FROM outcomes GROUP BY run, status, reason;
CREATE VIEW in_doubt AS
    SELECT * FROM writes WHERE verdict IS NULL OR verdict = 'unknown';
