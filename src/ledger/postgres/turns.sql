-- The turns of all processes of a target: one pace, one quota for each address.

-- Gives back turns of calls that were not made: they do not count.
CREATE FUNCTION give_back(numbers bigint[], counts int[]) RETURNS void LANGUAGE sql SET search_path = idshift AS $$
    UPDATE taken x SET calls = x.calls - u.n
    FROM (SELECT u.number, sum(u.n)::int AS n FROM unnest(numbers, counts) u(number, n) GROUP BY 1) u WHERE x.number = u.number
$$;

-- Returns what is left of a count of calls after this time; it decays with a time constant of one second.
CREATE FUNCTION decayed(a float8, us bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
    SELECT a * exp(-least(greatest(us, 0)::float8 / 1e6, 60))
$$;

-- Grants the next calls of a lane from an address: rate, quota and holds in one answer. Each statement sees what is
-- committed when it begins, so the sum is taken after the rows are locked; a sum in the locking statement would be that
-- of before the wait. Rows of `pace` are locked before those of `egress`, everywhere.
CREATE FUNCTION grant_calls(
    t text, l text, e text, own text, wanted int, ahead_us bigint, my_per_s float8, my_gap_us float8, my_orders int, late_us bigint,
    quota int, my_window_us bigint, answered int, slow_calls int, came_late int, numbers bigint[], counts int[]
) RETURNS TABLE (
    many int, first_us bigint, step_us float8, now_us bigint, number bigint, wait_us bigint, cause text, told text,
    lowest_per_s float8, ordered int, ordered_rate float8
) LANGUAGE plpgsql SET search_path = idshift AS $$
#variable_conflict use_column
DECLARE
    -- In microseconds: within `arrives`, a call that departed reaches the system; turns are given out up to `ahead` in advance.
    arrives constant bigint := 1000000; ahead constant bigint := 250000;
    p pace; g egress; lowest asked; used bigint; free_at bigint; near float8;
    -- There is neither a pace nor a quota: a call may depart whenever it is ready.
    is_free bool := false;
BEGIN
    SELECT * INTO p FROM pace WHERE target = t AND lane = l FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO pace (target, lane) VALUES (t, l) ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT p FROM pace WHERE target = t AND lane = l FOR UPDATE;
    END IF;
    IF NOT EXISTS (SELECT FROM egress WHERE target = t AND egress = e) THEN
        INSERT INTO egress (target, egress) VALUES (t, e) ON CONFLICT DO NOTHING;
    END IF;
    -- All addresses are locked: calls from an address that is not known count for each.
    PERFORM 1 FROM egress WHERE target = t ORDER BY egress FOR UPDATE;
    SELECT * INTO STRICT g FROM egress WHERE target = t AND egress = e;
    now_us := (extract(epoch FROM clock_timestamp()) * 1e6)::bigint;
    IF cardinality(numbers) > 0 THEN PERFORM give_back(numbers, counts); END IF;
    IF came_late > 0 THEN INSERT INTO taken (target, egress, until_us, calls) VALUES (t, e, now_us, came_late); END IF;
    many := 0; wait_us := 0; told := ''; cause := '';

    -- The slowest rate of all present processes counts. A process that has not heard of a newer order does not set its
    -- rate. At the same rate, the gap is that of the process that wakes up latest.
    IF coalesce(my_orders, p.orders) >= p.orders THEN
        INSERT INTO asked AS a VALUES (t, l, own, my_per_s, my_gap_us) ON CONFLICT (target, lane, process) DO UPDATE
            SET per_s = excluded.per_s, gap_us = excluded.gap_us
            WHERE (a.per_s, a.gap_us) IS DISTINCT FROM (excluded.per_s, excluded.gap_us);
    END IF;
    DELETE FROM asked a WHERE a.target = t AND a.lane = l AND a.process <> own
        AND NOT EXISTS (SELECT FROM process q WHERE q.process = a.process AND q.held_until >= clock_timestamp());
    SELECT * INTO lowest FROM asked a WHERE a.target = t AND a.lane = l ORDER BY a.per_s NULLS LAST, a.gap_us DESC LIMIT 1;
    IF FOUND THEN p.per_s := lowest.per_s; p.gap_us := lowest.gap_us; END IF;
    p.accepted := decayed(p.accepted, now_us - p.accepted_us) + answered; p.accepted_us := now_us;
    IF answered > 0 THEN p.success_us := now_us; END IF;
    lowest_per_s := p.per_s; ordered := p.orders; ordered_rate := p.ordered_per_s;

    IF p.hold_us > now_us THEN
        wait_us := p.hold_us - now_us; cause := 'target'; told := p.why;
    ELSIF g.hold_us > now_us THEN
        wait_us := g.hold_us - now_us; cause := 'address'; told := g.why;
    ELSE
        -- A pace that was refused climbs in steps of a second, quickly up to 85 % of the refused pace, then slowly.
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
        is_free := step_us = 0 AND quota IS NULL;
        -- A turn further ahead than this was given out before this server's clock went back.
        first_us := greatest(least(p.next_us, now_us + 4 * ahead + ahead_us + step_us::bigint),
            now_us + CASE WHEN is_free THEN 0 ELSE ahead_us END);
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
            -- The other calls wait until the probe may have been answered.
            p.next_us := greatest(p.next_us, first_us + 500000);
            p.probe := false;
            UPDATE egress SET probe = false WHERE target = t AND egress = e AND probe;
        END IF;
    END IF;
    -- Then nothing was counted that must survive a restart of the server, so the commit waits for no disk and no standby.
    IF is_free THEN PERFORM set_config('synchronous_commit', 'off', true); END IF;
    UPDATE pace SET per_s = p.per_s, gap_us = p.gap_us, slow_gap_us = p.slow_gap_us,
        climb_us = p.climb_us, accepted = p.accepted, accepted_us = p.accepted_us, success_us = p.success_us,
        next_us = p.next_us, probe = p.probe WHERE target = t AND lane = l;
    RETURN NEXT;
END $$;

-- Holds all calls, because the system refuses some. Afterwards they are made a little more slowly than the system has
-- just taken them. But if nothing was accepted since the last hold, the pace is not the reason for the refusal: then
-- the pace stays, and the hold is twice as long.
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
            -- Without a limit, only the accepted calls show the pace that was refused; at the beginning, there are too
            -- few of them.
            IF gap = 0 THEN gap := 1e6 / greatest(p.accepted, 20); END IF;
            below := CASE WHEN p.accepted >= 1 THEN least(p.accepted, 1e6 / gap) * 0.9 ELSE 1e6 / gap / 2 END;
            UPDATE pace SET refused_gap_us = gap, slow_gap_us = 1e6 / greatest(below, least(0.02, 1e6 / gap)), climb_us = NULL
                WHERE target = t AND lane = p.lane;
        END IF;
        UPDATE pace SET hold_us = greatest(p.hold_us, now_ + wait), held_for_us = CASE WHEN is_known THEN held_for_us ELSE wait END,
            probe = true, why = reason WHERE target = t AND lane = p.lane;
    END LOOP;
END $$;

-- Holds calls from this address, because a firewall blocks it.
CREATE FUNCTION hold_address(t text, e text, for_us bigint, reason text) RETURNS void LANGUAGE sql SET search_path = idshift AS $$
    INSERT INTO egress AS g (target, egress, hold_us, probe, why)
    VALUES (t, e, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint + for_us, true, reason)
    ON CONFLICT (target, egress) DO UPDATE
    SET hold_us = greatest(g.hold_us, excluded.hold_us), probe = true, why = excluded.why
$$;

-- Sets the rate of all processes that are at work, as a person has ordered.
CREATE FUNCTION order_rate(t text, rate float8, new_gap_us float8) RETURNS void LANGUAGE plpgsql SET search_path = idshift AS $$
DECLARE p pace; slow float8;
BEGIN
    FOR p IN SELECT * FROM pace WHERE target = t ORDER BY lane FOR UPDATE LOOP
        -- After a refusal, the pace stays below what the system took.
        slow := CASE WHEN p.slow_gap_us > new_gap_us THEN p.slow_gap_us END;
        UPDATE asked SET per_s = rate, gap_us = new_gap_us WHERE target = t AND lane = p.lane;
        UPDATE pace SET per_s = rate, gap_us = new_gap_us,
            orders = orders + 1, ordered_per_s = rate, slow_gap_us = slow,
            -- One gap after the last turn that was given out.
            next_us = (p.next_us - greatest(p.gap_us, coalesce(p.slow_gap_us, 0)) + greatest(new_gap_us, coalesce(slow, 0)))::bigint
            WHERE target = t AND lane = p.lane;
    END LOOP;
END $$;

-- Removes the rate that a process asked for, because it makes no further calls of a target.
CREATE FUNCTION leave_turns(t text, own text) RETURNS void LANGUAGE sql SET search_path = idshift AS $$
    DELETE FROM asked WHERE target = t AND process = own
$$;
