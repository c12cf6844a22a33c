//! How an address is read, and what is no address.

use super::*;

fn shown(text: &str) -> String {
    let address: Address = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
    format!("{address}{}", if address.needs_tls() { " TLS" } else { "" })
}

#[test]
fn an_address_is_read_as_libpq_reads_it() {
    for (text, meant) in [
        (
            "postgres://u@db.example.com/d",
            "database d on db.example.com:5432 (role u) TLS",
        ),
        (
            "postgresql://u@a:1,b:2,[2001:db8::1]:3/d?target_session_attrs=read-write",
            "database d on a:1, b:2, [2001:db8::1]:3 (role u) TLS",
        ),
        (
            "postgres://u@localhost:5433/d",
            "database d on localhost:5433 (role u)",
        ),
        ("postgres://u@[::1]/d", "database d on [::1]:5432 (role u)"),
        (
            "postgres://u@127.0.0.1/d?sslmode=verify-full&connect_timeout=3",
            "database d on 127.0.0.1:5432 (role u) TLS",
        ),
        (
            "postgres:///d?host=/run/postgresql&port=5433&user=u",
            "database d on /run/postgresql port 5433 (role u)",
        ),
        (
            "postgres://a%40b@%2Frun%2Fpostgresql/my%20db",
            "database my db on /run/postgresql (role a@b)",
        ),
        (
            "postgres:///d?host=a,b&port=1,2&user=u",
            "database d on a:1, b:2 (role u) TLS",
        ),
        (
            "postgres://u@h/a%2Fb%23c%0Ad",
            "database a/b#c\\u{a}d on h:5432 (role u) TLS",
        ),
    ] {
        assert_eq!(shown(text), meant, "{text}");
    }
    let own: Address = "postgres://localhost/d".parse().unwrap();
    assert_eq!(own.user(), user());
}

#[test]
fn invalid_address_is_rejected_with_a_hint() {
    for (text, words) in [
        ("db.example.com/d", "postgres://idshift@"),
        ("mysql://u@h/d", "does not begin with postgres://"),
        ("postgres://u@h", "no database"),
        ("postgres://u@h/", "no database"),
        ("postgres://u@/d", "?host=/run/postgresql"),
        ("postgres://u@a,,b/d", "before or after a comma"),
        ("postgres://u@h:x/d", "`x` is not a port"),
        ("postgres://u@h:0/d", "`0` is not a port"),
        ("postgres://u@h:70000/d", "`70000` is not a port"),
        ("postgres://u@2001:db8::1/d", "in brackets"),
        ("postgres://u@[::1]5/d", "[2001:db8::1]:5432"),
        ("postgres://u@h/d?sslmode=require", "sslmode=verify-full"),
        ("postgres://u@h/d?sslmode=disable", "always encrypted"),
        (
            "postgres://u@h/d?target_session_attrs=any",
            "accepts writes",
        ),
        ("postgres://u@h/d?connect_timeout=soon", "from 1 to 600"),
        ("postgres://u@h/d?sslrootcert=x", "--ca-cert"),
        ("postgres://u@h/d?colour=red", "`colour` is not a parameter"),
        ("postgres:///d?host=a,b&port=1,2,3", "2 hosts have 3 ports"),
        ("postgres://u@h/d?port=5", "after the host"),
        ("postgres://u@h/%ff", "UTF-8"),
        ("postgres://u@h/d/e", "the second /"),
        ("postgres://u@h/d/", "the second /"),
        ("postgres://u@h//d", "the second /"),
        ("postgres://u@h/d#part", "%23"),
        ("postgres://u@h#part/d", "%23"),
        ("postgres://u@h/d?connect_timeout=3#part", "%23"),
        ("postgres://u#v@h/d", "%23"),
        ("postgres://u@h/d e", "%20"),
        ("postgres://u@h/d\n", "a line break"),
    ] {
        let why = text.parse::<Address>().expect_err(text).to_string();
        assert!(why.contains(words), "{text}: {why}");
    }
}

#[test]
fn a_password_is_refused_and_never_shown() {
    for text in [
        "postgres://u:hunter2@h/d",
        "postgres://u:hun/ter2@h/d",
        "postgres://u:hun?ter2@h/d",
        "postgres://u:hunter2@2@h/d",
        "postgres://u:@h/d",
        "postgres://u@h/d?password=hunter2",
        "postgres://u@h/d?pass%77ord=hunter2",
    ] {
        let why = text.parse::<Address>().expect_err(text).to_string();
        assert!(why.contains("IDSHIFT_LEDGER_PASSWORD"), "{text}: {why}");
        assert!(!why.contains("ter2"), "{text}: {why}");
    }
    let why = "mysql://u:hunter2@h/d".parse::<Address>().unwrap_err();
    assert!(!why.to_string().contains("hunter2"));
}
