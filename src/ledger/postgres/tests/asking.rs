//! Questions are answered, also after a lost connection, and no statement is carried out twice that must not be.

use super::super::statement::Statement;
use super::*;
use std::sync::Barrier;
use std::time::Instant;

#[test]
fn threads_ask_at_the_same_time_and_each_gets_its_own_answer() {
    let Some((server, database, postgres)) = fresh() else {
        return;
    };
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8_i64 {
            let (postgres, barrier) = (&postgres, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for n in 0..50 {
                    let sent = thread * 1000 + n;
                    let ask = Statement::repeatable("SELECT $1::bigint, pg_sleep(0.001)::text")
                        .with(sent);
                    let got: i64 = postgres.ask_one(ask, |row| row.try_get(0)).unwrap();
                    assert_eq!(got, sent);
                }
            });
        }
    });
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND application_name LIKE 'idshift %'"
    );
    let connections: u32 = server.psql("postgres", &count).parse().unwrap();
    assert!((2..=4).contains(&connections), "{connections}");
    drop(postgres);
    assert_eq!(server.psql("postgres", &count), "0", "they are closed");
}

#[test]
fn session_settings_are_set_on_each_connection() {
    let Some((_, _, postgres)) = fresh() else {
        return;
    };
    for (setting, value) in [
        ("plan_cache_mode", "force_custom_plan"),
        ("search_path", "idshift"),
        ("TimeZone", "UTC"),
    ] {
        let ask = Statement::repeatable("SELECT current_setting($1)").with(setting);
        let found: String = postgres.ask_one(ask, |row| row.try_get(0)).unwrap();
        assert_eq!(found, value);
    }
}

/// Ends the connections of a database at the server, as a restart does.
fn cut(server: &Server, database: &str) {
    server.psql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'"),
    );
}

#[test]
fn only_repeatable_statement_is_repeated_after_connection_loss() {
    let Some((server, database, postgres)) = fresh() else {
        return;
    };
    server.psql(
        &database,
        "CREATE TABLE tick (n int); CREATE SEQUENCE begun",
    );
    let sleeping = "SELECT nextval('public.begun'), pg_sleep(1)";
    let begun = || {
        server.psql(
            &database,
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM begun",
        )
    };
    // The connection is lost while it is idle: nothing was sent yet, so both are carried out on a new connection.
    for statement in [
        Statement::once("SELECT 1"),
        Statement::repeatable("SELECT 1"),
    ] {
        cut(server, &database);
        let one: i32 = postgres.ask_one(statement, |row| row.try_get(0)).unwrap();
        assert_eq!(one, 1);
    }
    // The connection is lost while the statement is carried out.
    let lose = |statement: Statement| {
        let before: i64 = begun().parse().unwrap();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| postgres.ask_one(statement, |row| row.try_get::<_, i64>(0)));
            while begun().parse::<i64>().unwrap() == before {
                std::thread::yield_now();
            }
            cut(server, &database);
            asked.join().unwrap()
        })
    };
    assert_eq!(lose(Statement::repeatable(sleeping)).unwrap(), 2);
    let why = said(lose(Statement::once(sleeping)));
    assert!(
        why.contains("is unknown") && why.contains(&database),
        "{why}"
    );
    assert_eq!(begun(), "3");
}

#[test]
fn unavailable_server_is_waited_for_until_give_up_after() {
    let Some(server) = Server::start() else {
        return;
    };
    let address = server.address(ADMIN, "postgres");
    let patient = Settings {
        give_up_after: Duration::from_secs(2),
        ..settings(&address)
    };
    let postgres = Postgres::connect(patient).unwrap();
    drop(server);
    let begun = Instant::now();
    let ask = Statement::once("SELECT 1");
    let why = said(postgres.ask_one(ask, |row| row.try_get::<_, i32>(0)));
    assert!(begun.elapsed() > Duration::from_millis(900), "{why}");
    assert!(
        why.contains("no server listens") && why.contains("database postgres"),
        "{why}"
    );
    // The first connection does not wait for a server.
    let why = said(Postgres::connect(settings(&address)));
    assert!(why.contains("no server listens"), "{why}");
}

#[test]
fn refused_statement_is_reported_and_connection_stays_usable() {
    let Some((_, database, postgres)) = fresh() else {
        return;
    };
    for sql in ["SELECT 1 / 0", "SELECT nothing", "SELEC 1"] {
        let why =
            said(postgres.ask_one(Statement::repeatable(sql), |row| row.try_get::<_, i32>(0)));
        assert!(
            why.contains("refuses a statement") && why.contains(&database),
            "{why}"
        );
    }
    let wrong = said(postgres.ask(Statement::repeatable("SELECT 'text'"), |row| {
        row.try_get::<_, i32>(0)
    }));
    assert!(wrong.contains("is damaged"), "{wrong}");
    let one: i32 = postgres
        .ask_one(Statement::repeatable("SELECT 1"), |row| row.try_get(0))
        .unwrap();
    assert_eq!(one, 1);
}

/// A server became a standby: its connections are good, and accept no writes any more.
#[test]
fn read_only_server_is_replaced_by_a_writable_server() {
    let Some((server, database, postgres)) = fresh() else {
        return;
    };
    server.psql(&database, "CREATE TABLE tick (n int)");
    let write = || Statement::once("INSERT INTO public.tick VALUES (1) RETURNING n");
    assert!(
        postgres
            .ask_one(write(), |row| row.try_get::<_, i32>(0))
            .is_ok()
    );
    server.psql(
        "postgres",
        &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"),
    );
    let why = said(Postgres::connect(settings(
        &server.address(ADMIN, &database),
    )));
    assert!(why.contains("accepts no writes"), "{why}");
    let other = server.database();
    let both = format!(
        "postgres://{ADMIN}@127.0.0.1:9,127.0.0.1:{}/{other}",
        server.port
    );
    assert!(
        Postgres::connect(settings(&both)).is_ok(),
        "the second host is taken"
    );
    cut(server, &database);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| postgres.ask_one(write(), |row| row.try_get::<_, i32>(0)));
        server.psql(
            "postgres",
            &format!("ALTER DATABASE {database} RESET default_transaction_read_only"),
        );
        assert!(asked.join().unwrap().is_ok());
    });
    assert_eq!(server.psql(&database, "SELECT count(*) FROM tick"), "2");
}

/// If a commit's wait for the standby is cancelled, the server acknowledges the commit with a warning.
#[test]
fn commit_without_standby_confirmation_is_an_error() {
    let Some(server) = Server::start() else {
        return;
    };
    server.psql("postgres", "CREATE TABLE tick (n int)");
    let impatient = Settings {
        give_up_after: Duration::ZERO,
        ..settings(&server.address(ADMIN, "postgres"))
    };
    let postgres = Postgres::connect(impatient).unwrap();
    server.set("synchronous_standby_names", "ghost");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let insert = Statement::once("INSERT INTO public.tick VALUES (1) RETURNING n");
            said(postgres.ask_one(insert, |row| row.try_get::<_, i32>(0)))
        });
        while server.psql("postgres", waiting) == "0" {
            std::thread::yield_now();
        }
        server.psql(
            "postgres",
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
        );
        let why = asked.join().unwrap();
        assert!(why.contains("did not wait until the standby"), "{why}");
    });
}

/// Prints how long a question takes; nothing depends on it.
#[test]
fn a_round_trip_is_measured() {
    let Some((_, _, postgres)) = fresh() else {
        return;
    };
    let ask = || Statement::repeatable("SELECT $1::bigint").with(1_i64);
    let mut times: Vec<Duration> = (0..500)
        .map(|_| {
            let begun = Instant::now();
            postgres
                .ask_one(ask(), |row| row.try_get::<_, i64>(0))
                .unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "round trip: median {:?}, 90 % within {:?}",
        times[250], times[450]
    );
}
