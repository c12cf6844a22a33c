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
-- The pace of all processes of a target, one row for each limit; `lane` is `find` or `write` (one row where they share the
-- rate). Times are microseconds since 1970 by this server's clock; a gap of 0 is no limit.
CREATE TABLE pace (
    target text, lane text,
    -- The slowest rate that a process asked for, and until when that counts; `orders` counts the rates that a person set.
    per_s float8, gap_us float8 NOT NULL DEFAULT 0, asked_until_us bigint NOT NULL DEFAULT 0,
    orders int NOT NULL DEFAULT 0, ordered_per_s float8,
    -- After a refusal: the gap at present, the one that was refused, and when the pace climbs next.
    slow_gap_us float8, refused_gap_us float8, climb_us bigint,
    -- Calls that were accepted within about a second, when that was counted, and when there was one.
    accepted float8 NOT NULL DEFAULT 0, accepted_us bigint NOT NULL DEFAULT 0, success_us bigint NOT NULL DEFAULT 0,
    next_us bigint NOT NULL DEFAULT 0,
    hold_us bigint NOT NULL DEFAULT 0, held_for_us bigint NOT NULL DEFAULT 0, probe bool NOT NULL DEFAULT false,
    why text NOT NULL DEFAULT '', PRIMARY KEY (target, lane)
) WITH (fillfactor = 10);
-- One row for each address that calls come from; '' where it is not known.
CREATE TABLE egress (
    target text, egress text, window_us bigint NOT NULL DEFAULT 0,
    hold_us bigint NOT NULL DEFAULT 0, probe bool NOT NULL DEFAULT false, why text NOT NULL DEFAULT '',
    PRIMARY KEY (target, egress)
) WITH (fillfactor = 10);
-- Calls that count against the quota of an address, and when they departed at the latest.
CREATE TABLE taken (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target text NOT NULL, egress text NOT NULL, until_us bigint NOT NULL, calls int NOT NULL
);
CREATE INDEX taken_of ON taken (target, egress, until_us);

-- The turns of some calls that were not made: they do not count.
CREATE FUNCTION give_back(numbers bigint[], counts int[]) RETURNS void LANGUAGE sql SET search_path = idshift AS $$
    UPDATE taken x SET calls = x.calls - u.n
    FROM (SELECT u.number, sum(u.n)::int AS n FROM unnest(numbers, counts) u(number, n) GROUP BY 1) u WHERE x.number = u.number
$$;

-- What is left of a count of the last second after this time.
CREATE FUNCTION decayed(a float8, us bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT a * exp(-least(greatest(us, 0)::float8 / 1e6, 60))
$$;

-- The next calls of a lane from an address: rate, quota and holds in one answer. Each statement sees what is committed
-- when it begins, so the sum is taken after the rows are locked; in one statement it would be of before the wait. The rows
-- of `pace` are locked before those of `egress`, everywhere.
CREATE FUNCTION grant_calls(
    t text, l text, e text, wanted int, ahead_us bigint, my_per_s float8, my_gap_us float8, my_orders int, late_us bigint,
    quota int, my_window_us bigint, answered int, slow_calls int, came_late int, numbers bigint[], counts int[]
) RETURNS TABLE (
    many int, first_us bigint, step_us float8, now_us bigint, number bigint, wait_us bigint, cause text, told text,
    lowest_per_s float8, ordered int, ordered_rate float8
) LANGUAGE plpgsql SET search_path = idshift AS $$
#variable_conflict use_column
DECLARE
    -- A call is at the system within this time after it departed, and turns are given out for this time ahead.
    arrives constant bigint := 1000000; ahead constant bigint := 250000; minute constant bigint := 60000000;
    p pace; g egress; used bigint; free_at bigint; near float8; mine float8; lowest float8;
BEGIN
    SELECT * INTO p FROM pace WHERE target = t AND lane = l FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO pace (target, lane) VALUES (t, l) ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT p FROM pace WHERE target = t AND lane = l FOR UPDATE;
    END IF;
    IF NOT EXISTS (SELECT FROM egress WHERE target = t AND egress = e) THEN
        INSERT INTO egress (target, egress) VALUES (t, e) ON CONFLICT DO NOTHING;
    END IF;
    -- All: calls from an address that is not known count for each.
    PERFORM 1 FROM egress WHERE target = t ORDER BY egress FOR UPDATE;
    SELECT * INTO STRICT g FROM egress WHERE target = t AND egress = e;
    now_us := (extract(epoch FROM clock_timestamp()) * 1e6)::bigint;
    IF cardinality(numbers) > 0 THEN PERFORM give_back(numbers, counts); END IF;
    IF came_late > 0 THEN INSERT INTO taken (target, egress, until_us, calls) VALUES (t, e, now_us, came_late); END IF;
    many := 0; wait_us := 0; told := ''; cause := '';

    -- The slowest rate counts that was asked for within a minute, but not that of a process that has not heard of a newer
    -- order. At the same rate, the gap is that of the process that wakes up latest.
    mine := coalesce(my_per_s, 'Infinity'); lowest := coalesce(p.per_s, 'Infinity');
    IF coalesce(my_orders, p.orders) >= p.orders AND (now_us > p.asked_until_us OR mine <= lowest) THEN
        p.gap_us := CASE WHEN now_us > p.asked_until_us OR mine < lowest OR my_gap_us > p.gap_us THEN my_gap_us
            ELSE p.gap_us + (my_gap_us - p.gap_us) / 100 END;
        p.per_s := my_per_s; p.asked_until_us := now_us + minute;
    END IF;
    p.accepted := decayed(p.accepted, now_us - p.accepted_us) + answered; p.accepted_us := now_us;
    IF answered > 0 THEN p.success_us := now_us; END IF;
    lowest_per_s := p.per_s; ordered := p.orders; ordered_rate := p.ordered_per_s;

    IF p.hold_us > now_us THEN
        wait_us := p.hold_us - now_us; cause := 'target'; told := p.why;
    ELSIF g.hold_us > now_us THEN
        wait_us := g.hold_us - now_us; cause := 'address'; told := g.why;
    ELSE
        -- A pace that was refused climbs in steps of a second, quickly up to 85 % of what was refused, then slowly.
        IF p.slow_gap_us IS NOT NULL AND p.climb_us IS NULL THEN
            p.climb_us := now_us + 1000000;
        ELSIF p.slow_gap_us IS NOT NULL AND now_us >= p.climb_us THEN
            p.climb_us := now_us + 1000000;
            near := p.refused_gap_us / 0.85;
            p.slow_gap_us := CASE WHEN p.slow_gap_us > near THEN greatest(p.slow_gap_us / 1.5, near) ELSE p.slow_gap_us / 1.005 END;
            IF p.slow_gap_us <= (CASE WHEN p.gap_us > 0 THEN p.gap_us ELSE p.refused_gap_us / 4 END) THEN
                p.slow_gap_us := NULL;
            END IF;
        END IF;
        step_us := greatest(p.gap_us, coalesce(p.slow_gap_us, 0));
        -- What lies further ahead was given out before this server's clock went back.
        first_us := greatest(least(p.next_us, now_us + 4 * ahead + ahead_us + step_us::bigint), now_us + ahead_us);
        IF first_us > now_us + ahead_us + ahead THEN
            wait_us := first_us - now_us - ahead_us - ahead; cause := 'rate';
        ELSE
            -- After a hold one call finds out whether it is over.
            many := CASE WHEN p.probe OR g.probe THEN 1
                WHEN step_us > 0 THEN least(wanted, greatest(1, floor(ahead / step_us)::int)) ELSE wanted END;
        END IF;
    END IF;
    IF many > 0 AND quota IS NOT NULL THEN
        IF g.window_us < my_window_us THEN
            UPDATE egress SET window_us = my_window_us WHERE target = t AND egress = e;
        END IF;
        DELETE FROM taken x WHERE x.target = t AND x.egress = e AND x.until_us + greatest(g.window_us, my_window_us) + arrives <= now_us;
        SELECT coalesce(sum(x.calls), 0) + slow_calls, min(x.until_us) INTO used, free_at FROM taken x
            WHERE x.target = t AND (x.egress = e OR x.egress = '' OR e = '') AND x.calls > 0
            AND x.until_us + my_window_us + arrives > now_us;
        many := greatest(least(many, quota - used), 0);
        IF many = 0 THEN
            wait_us := greatest(coalesce(free_at + my_window_us + arrives - now_us, 0), 10000); cause := 'quota';
        ELSE
            INSERT INTO taken (target, egress, until_us, calls)
                VALUES (t, e, ceil(first_us + (many - 1) * step_us)::bigint + late_us, many)
                RETURNING taken.number INTO grant_calls.number;
        END IF;
    END IF;
    IF many > 0 THEN
        p.next_us := ceil(first_us + many * step_us)::bigint;
        IF p.probe OR g.probe THEN
            -- The others wait until it may have been answered.
            p.next_us := greatest(p.next_us, first_us + 500000);
            p.probe := false;
            UPDATE egress SET probe = false WHERE target = t AND egress = e AND probe;
        END IF;
    END IF;
    UPDATE pace SET per_s = p.per_s, gap_us = p.gap_us, asked_until_us = p.asked_until_us, slow_gap_us = p.slow_gap_us,
        climb_us = p.climb_us, accepted = p.accepted, accepted_us = p.accepted_us, success_us = p.success_us,
        next_us = p.next_us, probe = p.probe WHERE target = t AND lane = l;
    RETURN NEXT;
END $$;

-- The system refuses calls: all are held. Afterwards they are made a little more slowly than it has just taken them, unless
-- nothing was accepted since the last hold, so that the pace is not what it refuses; then the hold is twice as long.
CREATE FUNCTION hold_target(t text, for_us bigint, slows bool, reason text, answered_find int, answered_write int) RETURNS void
LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE p pace; now_ bigint; gap float8; below float8; wait bigint; success bigint; is_known bool; is_vain bool;
BEGIN
    PERFORM 1 FROM pace WHERE target = t ORDER BY lane FOR UPDATE;
    SELECT max(success_us) INTO success FROM pace WHERE target = t;
    now_ := (extract(epoch FROM clock_timestamp()) * 1e6)::bigint;
    FOR p IN SELECT * FROM pace WHERE target = t ORDER BY lane LOOP
        is_known := now_ < p.hold_us;
        is_vain := NOT is_known AND p.held_for_us > 0 AND success < p.hold_us
            AND now_ - p.hold_us < greatest(2 * p.held_for_us, 10000000);
        wait := CASE WHEN is_vain THEN greatest(for_us, least(2 * p.held_for_us, 300000000)) ELSE for_us END;
        IF slows AND NOT is_known AND NOT is_vain THEN
            gap := greatest(p.gap_us, coalesce(p.slow_gap_us, 0));
            p.accepted := decayed(p.accepted, now_ - p.accepted_us)
                + CASE p.lane WHEN 'write' THEN answered_write ELSE answered_find END;
            IF gap = 0 THEN gap := 1e6 / greatest(p.accepted, 2); END IF;
            below := CASE WHEN p.accepted >= 1 THEN least(p.accepted, 1e6 / gap) * 0.9 ELSE 1e6 / gap / 2 END;
            UPDATE pace SET refused_gap_us = gap, slow_gap_us = 1e6 / greatest(below, least(0.02, 1e6 / gap)), climb_us = NULL
                WHERE target = t AND lane = p.lane;
        END IF;
        UPDATE pace SET hold_us = greatest(p.hold_us, now_ + wait), held_for_us = CASE WHEN is_known THEN held_for_us ELSE wait END,
            probe = true, why = reason WHERE target = t AND lane = p.lane;
    END LOOP;
END $$;

-- A firewall blocks calls from this address.
CREATE FUNCTION hold_address(t text, e text, for_us bigint, reason text) RETURNS void LANGUAGE sql SET search_path = idshift AS $$
    INSERT INTO egress AS g (target, egress, hold_us, probe, why)
    VALUES (t, e, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint + for_us, true, reason)
    ON CONFLICT (target, egress) DO UPDATE
    SET hold_us = greatest(g.hold_us, excluded.hold_us), probe = true, why = excluded.why
$$;

-- A person sets the rate of all processes that are at work.
CREATE FUNCTION order_rate(t text, rate float8, new_gap_us float8) RETURNS void LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE p pace; now_ bigint; slow float8;
BEGIN
    FOR p IN SELECT * FROM pace WHERE target = t ORDER BY lane FOR UPDATE LOOP
        now_ := (extract(epoch FROM clock_timestamp()) * 1e6)::bigint;
        -- A pace that was refused stays below what the system took.
        slow := CASE WHEN p.slow_gap_us > new_gap_us THEN p.slow_gap_us END;
        UPDATE pace SET per_s = rate, gap_us = new_gap_us, asked_until_us = now_ + 60000000,
            orders = orders + 1, ordered_per_s = rate, slow_gap_us = slow,
            -- One gap after the last turn that was given out.
            next_us = (p.next_us - greatest(p.gap_us, coalesce(p.slow_gap_us, 0)) + greatest(new_gap_us, coalesce(slow, 0)))::bigint
            WHERE target = t AND lane = p.lane;
    END LOOP;
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
