-- idshift, format 1. A row belongs to a run; the columns are those of a run's ledger.db.
CREATE TABLE format (version int PRIMARY KEY);
INSERT INTO format VALUES (1);
-- The epoch that was given last: of two sessions the one with the higher epoch began later, whatever the clocks say.
CREATE TABLE counter (id int PRIMARY KEY CHECK (id = 1), epoch bigint NOT NULL);
INSERT INTO counter VALUES (1, 0);
-- The epoch of the process that has worked on a target last.
CREATE TABLE target (target text PRIMARY KEY, epoch bigint NOT NULL DEFAULT 0);
-- One row for each process that holds something or has held something. The process renews its row each second. What it holds
-- is free once the lease is over, and after it the grace, in which a call that the process has begun may still arrive.
CREATE TABLE process (
    process text PRIMARY KEY, host text NOT NULL, pid bigint NOT NULL,
    -- Boot ID and process namespace of its machine: another process with the same value can see whether it is gone.
    machine text NOT NULL,
    seen_at timestamptz NOT NULL, held_until timestamptz NOT NULL, grace interval NOT NULL,
    -- How often the lease was renewed after others could take what the process holds: what was granted before that is void.
    lapses bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
-- What a process holds, in place of lock files: `target …` or `run …`, and for which run. The process holds it alone,
-- or together with others that work on the same run.
CREATE TABLE hold (
    name text, process text, run text NOT NULL, token text NOT NULL UNIQUE, together bool NOT NULL DEFAULT false,
    PRIMARY KEY (name, process)
);
-- Runs that are being made. The rows of a draft that never became a run are removed a day later. Tables with rows that
-- can be there before their run have no reference to it.
CREATE TABLE draft (run text PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT clock_timestamp());
-- What is registered of runs, and which targets are one system.
CREATE TABLE register (
    run text PRIMARY KEY, path text NOT NULL, system text NOT NULL, target text NOT NULL, epoch bigint NOT NULL,
    renames bool NOT NULL, customer_id text, reseller text
);
CREATE TABLE same_system (
    target text, other text, same bool NOT NULL, epoch bigint NOT NULL, PRIMARY KEY (target, other)
);
CREATE TABLE run (
    run text PRIMARY KEY, kind text NOT NULL, system text NOT NULL, base_url text NOT NULL,
    tenant text NOT NULL, target text NOT NULL REFERENCES target, input_name text NOT NULL, input_sha256 text NOT NULL,
    lines bigint NOT NULL, origins text NOT NULL, settings text NOT NULL, parent text,
    "user" text NOT NULL, host text NOT NULL, zone text NOT NULL, tool_version text NOT NULL,
    created_at_ms bigint NOT NULL, epoch bigint NOT NULL, checksum bigint NOT NULL
);
CREATE INDEX run_of_target ON run (target, epoch);
-- The run of each job that is started again and again.
CREATE TABLE job (key text PRIMARY KEY, run text NOT NULL REFERENCES run ON DELETE CASCADE);
CREATE TABLE progress (
    run text PRIMARY KEY REFERENCES run ON DELETE CASCADE,
    state text NOT NULL, phase text NOT NULL, exit_code int, stopped_by text, why text NOT NULL DEFAULT '',
    started_at_ms bigint NOT NULL, finished_at_ms bigint,
    base_url text, target text, former_targets text NOT NULL DEFAULT '',
    settings text, plan_digest text, forecast text, near_misses text, estimate text, cannot_undo text,
    audit_round bigint, pruned_at_ms bigint, half_done bigint,
    wave bigint, wave_lines text,
    -- The pass that the workers are at, whether one worker works at a time, the session that begins passes and closes the
    -- run, and a digest of the units that it has found in the file.
    pass smallint NOT NULL DEFAULT 0, alone bool NOT NULL DEFAULT false, lead int, units_digest text NOT NULL DEFAULT '',
    -- The last number for a write that was given to one of several workers.
    given bigint NOT NULL DEFAULT 0,
    -- Number of changes recorded outside of sessions, and the token of the last one, by which a repetition is recognised.
    changes bigint NOT NULL DEFAULT 0, changed_by text NOT NULL DEFAULT ''
);
-- The run's copy of its file, compressed (zstd), in pieces of a MiB. It is stored before the run exists.
CREATE TABLE piece (run text, n int, bytes bytea NOT NULL, PRIMARY KEY (run, n));
ALTER TABLE piece ALTER bytes SET STORAGE EXTERNAL;
CREATE TABLE drift (
    run text,
    line bigint, cause text NOT NULL, nights int NOT NULL, key bigint NOT NULL, checksum bigint NOT NULL,
    PRIMARY KEY (run, line)
);
CREATE TABLE unlooked (
    run text,
    last_line bigint, first_line bigint NOT NULL, lines bigint NOT NULL, message text NOT NULL, noted_at_ms bigint NOT NULL,
    packed bytea NOT NULL, checksum bigint NOT NULL, PRIMARY KEY (run, last_line)
);
CREATE TABLE shard (
    run text PRIMARY KEY REFERENCES run ON DELETE CASCADE,
    shard text NOT NULL, lines bytea NOT NULL, checksum bigint NOT NULL
);
CREATE TABLE wishes (
    run text,
    wish bigint, customer_id text, checksum bigint NOT NULL, PRIMARY KEY (run, wish, customer_id)
);
CREATE TABLE replaced (run text, digest bigint, PRIMARY KEY (run, digest));
CREATE TABLE removed (
    run text,
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
    number bigint NOT NULL DEFAULT 0,
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
    -- The process, the token of its hold on the run, and why the session may note nothing more, once it may not.
    process text NOT NULL DEFAULT '', token text NOT NULL DEFAULT '', ended text,
    -- Lines that have ended in this process, how many of them have failed, and its part of those that may still fail.
    ended_lines bigint NOT NULL DEFAULT 0, failed_lines bigint NOT NULL DEFAULT 0, may_fail bigint NOT NULL DEFAULT 0,
    -- The number of the last order that this process follows.
    followed bigint NOT NULL DEFAULT 0,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, session)
) WITH (fillfactor = 50);
CREATE INDEX sessions_open ON sessions (process) WHERE ended IS NULL;
-- Each write, noted before it is sent. No verdict: the answer was never noted. No reference to the run: checking it for
-- each row would cost more than the row, and the session refers to the run.
CREATE TABLE writes (
    run text, write_id bigint, unit bigint NOT NULL, line bigint NOT NULL, attempt int NOT NULL,
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
-- What became of each line. Some rows of an undo are there before the run.
CREATE TABLE outcomes (
    run text, line bigint, status text NOT NULL, reason text NOT NULL, message text NOT NULL,
    customer_id text, account_id_before text, account_id_after text,
    location_id text, service_id_before text, service_id_after text, profile_before text, profile_after text,
    http_status int, attempts int NOT NULL, correlation_id text,
    finished_at_ms bigint NOT NULL, duration_ms bigint NOT NULL, checksum bigint NOT NULL,
    PRIMARY KEY (run, line)
);
-- Ranges of lines, and which session works on each: free, leased, done. `lease` counts how often it was given out. A session
-- has its chunks as long as its process renews its row.
CREATE TABLE chunk (
    run text REFERENCES run ON DELETE CASCADE, pass smallint, n int, lo bigint NOT NULL, hi bigint NOT NULL,
    state text NOT NULL DEFAULT 'free' CHECK (state = 'free' OR state = 'leased' OR state = 'done'),
    session int, lease int NOT NULL DEFAULT 0,
    PRIMARY KEY (run, pass, n)
) WITH (fillfactor = 50);
CREATE INDEX chunk_open ON chunk (run, pass, n) WHERE state <> 'done';
-- The pace of all processes of a target, one row for each limit; `lane` is `find` or `write` (one row where they share the
-- rate). Times are microseconds since 1970 by this server's clock; a gap of 0 is no limit.
CREATE TABLE pace (
    target text, lane text,
    -- The rate that counts: the slowest of `asked`. `orders` counts the rates that a person set.
    per_s float8, gap_us float8 NOT NULL DEFAULT 0,
    orders int NOT NULL DEFAULT 0, ordered_per_s float8,
    -- After a refusal: the gap at present, the one that was refused, and when the pace climbs next.
    slow_gap_us float8, refused_gap_us float8, climb_us bigint,
    -- Calls that were accepted within about a second, when that was counted, and when there was one.
    accepted float8 NOT NULL DEFAULT 0, accepted_us bigint NOT NULL DEFAULT 0, success_us bigint NOT NULL DEFAULT 0,
    next_us bigint NOT NULL DEFAULT 0,
    hold_us bigint NOT NULL DEFAULT 0, held_for_us bigint NOT NULL DEFAULT 0, probe bool NOT NULL DEFAULT false,
    why text NOT NULL DEFAULT '', PRIMARY KEY (target, lane)
) WITH (fillfactor = 10);
-- The rate that each process is set to, as it asked last. It counts as long as the process is there.
CREATE TABLE asked (
    target text, lane text, process text, per_s float8, gap_us float8 NOT NULL, PRIMARY KEY (target, lane, process)
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
