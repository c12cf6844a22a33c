//! Whether an answer can be relied upon after trouble: a commit that the standby may lack, a warning, tables that have
//! changed, a connection that was reset; and how many connections there are.

use super::super::statement::Statement;
use super::*;
use std::time::Instant;

const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
const CANCEL: &str =
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/// The repetition finds the row and changes nothing, so it does not wait for the standby by itself.
#[test]
fn repeated_statement_waits_until_the_standby_has_the_first_commit() {
    let Some(server) = Server::start() else {
        return;
    };
    server.psql("postgres", "CREATE TABLE tick (n int PRIMARY KEY)");
    let postgres = Postgres::connect(settings(&server.address(ADMIN, "postgres"))).unwrap();
    server.set("synchronous_standby_names", "ghost");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let insert = "INSERT INTO public.tick VALUES (1) ON CONFLICT DO NOTHING";
            postgres.ask(Statement::repeatable(insert), |row| {
                row.try_get::<_, i32>(0)
            })
        });
        for _ in 0..3 {
            while server.psql("postgres", WAITING) == "0" {
                assert!(!asked.is_finished(), "answered without the standby");
                std::thread::yield_now();
            }
            server.psql("postgres", CANCEL);
        }
        server.set("synchronous_standby_names", "");
        assert!(asked.join().unwrap().unwrap().is_empty());
    });
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM tick"), "1");
}

/// A question after a statement that must not be repeated sees its row, but this does not prove that the standby has it.
#[test]
fn statement_after_a_lost_answer_also_waits_for_the_standby() {
    let Some(server) = Server::start() else {
        return;
    };
    server.psql("postgres", "CREATE TABLE tick (n int)");
    let postgres = Postgres::connect(settings(&server.address(ADMIN, "postgres"))).unwrap();
    server.set("synchronous_standby_names", "ghost");
    let wait = || {
        while server.psql("postgres", WAITING) == "0" {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let insert = Statement::once("INSERT INTO public.tick VALUES (1)");
            said(postgres.ask(insert, |row| row.try_get::<_, i32>(0)))
        });
        wait();
        server.psql("postgres", CANCEL);
        assert!(asked.join().unwrap().contains("did not wait"));
        let count = scope.spawn(|| {
            let count = Statement::repeatable("SELECT count(*) FROM public.tick");
            postgres.ask_one(count, |row| row.try_get::<_, i64>(0))
        });
        while server.psql("postgres", WAITING) == "0" {
            assert!(!count.is_finished(), "answered without the standby");
            std::thread::yield_now();
        }
        server.set("synchronous_standby_names", "");
        assert_eq!(count.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn warning_of_failed_statement_is_not_applied_to_the_next_one() {
    let Some((_, _, postgres)) = fresh() else {
        return;
    };
    let fails = "DO $$ BEGIN RAISE WARNING 'a'; RAISE EXCEPTION 'b'; END $$";
    let one = || Statement::once("SELECT 1");
    for _ in 0..3 {
        let why = said(postgres.ask(Statement::once(fails), |_| Ok(())));
        assert!(why.contains("refuses a statement: b"), "{why}");
        let answer = postgres.ask_one(one(), |row| row.try_get::<_, i32>(0));
        assert_eq!(answer.unwrap(), 1);
    }
}

#[test]
fn a_statement_is_prepared_again_where_the_tables_have_changed() {
    let Some((server, database, postgres)) = fresh() else {
        return;
    };
    server.psql(
        &database,
        "CREATE TABLE tick (n int); INSERT INTO tick VALUES (1)",
    );
    let all = || {
        postgres.ask_one(Statement::once("SELECT * FROM public.tick"), |row| {
            Ok(row.len())
        })
    };
    assert_eq!(all().unwrap(), 1);
    for (change, columns) in [("ADD m int", 2), ("ALTER n TYPE text", 2), ("DROP m", 1)] {
        server.psql(&database, &format!("ALTER TABLE tick {change}"));
        assert_eq!(all().unwrap(), columns, "{change}");
    }
}

/// As a pooler does it between two of its clients.
#[test]
fn a_connection_that_was_reset_is_set_up_again() {
    let Some((_, _, postgres)) = fresh() else {
        return;
    };
    postgres.prepare().unwrap();
    let count = || {
        let count = Statement::once("SELECT count(*), current_setting('search_path') FROM pace");
        postgres.ask_one(count, |row| {
            Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, String>(1)?))
        })
    };
    for _ in 0..3 {
        assert_eq!(count().unwrap(), (0, "idshift".to_owned()));
        // Each connection is reset, because the one that was used last is used next.
        postgres.batch("DISCARD ALL".to_owned()).unwrap();
    }
}

/// A role that may open four connections is enough, also while the server is examined.
#[test]
fn there_are_never_more_than_four_connections() {
    let Some((server, database, _)) = fresh() else {
        return;
    };
    let role = format!("narrow_{database}");
    server.psql(
        &database,
        &format!(
            "CREATE ROLE {role} LOGIN CONNECTION LIMIT 4; CREATE TABLE busy (n int); GRANT ALL ON busy TO {role}"
        ),
    );
    let postgres = Postgres::connect(settings(&server.address(&role, &database))).unwrap();
    let holding = Postgres::connect(settings(&server.address(ADMIN, &database))).unwrap();
    std::thread::scope(|scope| {
        let holds = scope.spawn(|| {
            let hold = "SELECT pg_advisory_lock(7)::text, pg_sleep(0)::text";
            holding.ask(Statement::once(hold), |_| Ok(()))
        });
        holds.join().unwrap().unwrap();
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let wait =
                        "SELECT pg_advisory_lock_shared(7)::text, pg_advisory_unlock_shared(7)";
                    postgres.ask(Statement::once(wait), |_| Ok(()))
                })
            })
            .collect();
        let locked = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND wait_event = 'advisory'"
        );
        while server.psql("postgres", &locked) != "4" {
            std::thread::yield_now();
        }
        let judged = scope.spawn(|| postgres.is_pooled_by_transaction());
        // It can only wait; a program that connects beyond the limit is refused meanwhile.
        let begun = Instant::now();
        while !judged.is_finished() && begun.elapsed() < Duration::from_millis(300) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let unlock = Statement::once("SELECT pg_advisory_unlock(7)");
        holding.ask(unlock, |_| Ok(())).unwrap();
        for waiter in waiters {
            waiter.join().unwrap().unwrap();
        }
        assert!(!judged.join().unwrap().unwrap());
    });
}
