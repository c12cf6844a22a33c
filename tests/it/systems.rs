use crate::support::{Asked, Done, Front, Place, finish};
use idshift::sandbox::{Kind, Options};
use std::collections::HashSet;
use std::fmt::Write;
use std::io::Write as _;
use std::net::TcpStream;

const RESELLER: &str = "11111111-1111-4111-8111-111111111111";

fn adobe() -> Place {
    let place = Place::new(Options {
        kind: Kind::Adobe,
        ..Options::default()
    });
    place.with_world(|mut world| {
        (0..300).for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 2));
    });
    place
}

fn adobe_run(place: &Place, arguments: &[&str]) -> Done {
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "key"),
        ("RESELLER_ID", "R1"),
    ];
    place.run_with(&settings, arguments)
}

fn adobe_file(place: &Place) -> String {
    let mut text = String::from("accountId,newAccountId\n");
    (0..298).for_each(|n| writeln!(text, "REF-{n},NEW-{n}").unwrap());
    text.push_str("REF-298,REF-299\nREF-299,REF-298\n");
    place.file("moves.csv", &text)
}

#[test]
fn adobe_writes_only_with_consent_and_sends_each_email_once() {
    let place = adobe();
    let file = adobe_file(&place);
    let refused = adobe_run(&place, &["apply", &file, "--yes"]).expect(2);
    assert!(
        refused.err.contains("--accept-welcome-emails"),
        "{}",
        refused.err
    );
    let plan = adobe_run(&place, &["plan", &file, "--json"])
        .expect(0)
        .json();
    assert_eq!(plan["forecast"]["emails"], 600);
    assert_eq!(place.patches(), 0);
    let before: Vec<_> = place.with_world(|world| {
        world
            .adobe
            .values()
            .map(|c| c.body["companyProfile"].clone())
            .collect()
    });
    place.sandbox.set_faults(vec![
        "patch:500-after:nth=5".parse().unwrap(),
        "patch:reset-after:nth=9".parse().unwrap(),
        "patch:500:nth=20".parse().unwrap(),
        "patch:hang-after=2500:nth=30".parse().unwrap(),
    ]);
    let done = adobe_run(
        &place,
        &["apply", &file, "--yes", "--accept-welcome-emails", "--json"],
    )
    .expect(0)
    .json();
    assert_eq!(done["counts"]["changed"], 300);
    assert!(
        done["calls"]["per_write"].as_f64().unwrap() <= 2.1,
        "{done}"
    );
    place.with_world(|world| {
        for n in 0..298 {
            assert_eq!(
                world.adobe[&format!("P{n}")].body["externalReferenceId"],
                format!("NEW-{n}")
            );
        }
        assert_eq!(world.adobe["P298"].body["externalReferenceId"], "REF-299");
        let after: Vec<_> = world
            .adobe
            .values()
            .map(|c| c.body["companyProfile"].clone())
            .collect();
        assert_eq!(before, after, "profiles go back as they came");
        assert!(
            world
                .adobe
                .values()
                .flat_map(|c| c.emails.values())
                .all(|mails| *mails == 1)
        );
    });
    let log = place.sandbox.log();
    let requests: Vec<_> = log
        .iter()
        .filter_map(|seen| seen.request_id.clone())
        .collect();
    assert_eq!(
        requests.len(),
        requests.iter().collect::<HashSet<_>>().len(),
        "a request ID is never used again"
    );
    place.sandbox.set_faults(Vec::new());
    adobe_run(&place, &["verify"]).expect(0);
    adobe_run(&place, &["undo", "--yes", "--accept-welcome-emails"]).expect(0);
    place.with_world(|world| {
        (0..300).for_each(|n| {
            assert_eq!(
                world.adobe[&format!("P{n}")].body["externalReferenceId"],
                format!("REF-{n}")
            );
        });
    });
}

#[test]
fn reseller_relationships_of_one_customer_do_not_affect_each_other() {
    let place = Place::new(Options {
        kind: Kind::CloudCockpit,
        ..Options::default()
    });
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    place.with_world(|mut world| {
        for n in 0..300 {
            world.add_cockpit(&id(n), "", &format!("OWN-{n}"));
            world.add_cockpit(&id(n), RESELLER, &format!("RES-{n}"));
        }
    });
    let mut text = String::from("accountId,newAccountId,resellerId\n");
    (0..298).for_each(|n| writeln!(text, "RES-{n},NEW-{n},{RESELLER}").unwrap());
    writeln!(
        text,
        "OWN-0,MINE-0,own\nRES-298,RES-299,{RESELLER}\nRES-299,RES-298,{RESELLER}"
    )
    .unwrap();
    let file = place.file("moves.csv", &text);
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command
            .env("IDSHIFT_SYSTEM", "cloudcockpit")
            .env("IDSHIFT_TENANT", "portal.example");
        crate::support::finish(command.spawn().unwrap())
    };
    place.sandbox.set_faults(vec![
        "patch:500-after:nth=5".parse().unwrap(),
        "patch:reset-after:nth=9".parse().unwrap(),
        "patch:503:nth=20".parse().unwrap(),
    ]);
    let done = run(&["apply", &file, "--yes", "--json"]).expect(0).json();
    assert_eq!(done["counts"]["changed"], 301);
    assert!(
        done["calls"]["per_write"].as_f64().unwrap() <= 1.05,
        "{done}"
    );
    place.with_world(|world| {
        for n in 0..298 {
            let identifiers = &world.cockpit[&id(n)].identifiers;
            assert_eq!(
                identifiers[RESELLER].as_deref(),
                Some(format!("NEW-{n}").as_str())
            );
            let own = if n == 0 {
                "MINE-0".to_owned()
            } else {
                format!("OWN-{n}")
            };
            assert_eq!(identifiers[""].as_deref(), Some(own.as_str()));
        }
        assert_eq!(
            world.cockpit[&id(298)].identifiers[RESELLER].as_deref(),
            Some("RES-299")
        );
    });
    run(&["verify"]).expect(0);
    run(&["undo", "--yes"]).expect(0);
    place.with_world(|world| {
        for n in 0..300 {
            assert_eq!(
                world.cockpit[&id(n)].identifiers[RESELLER].as_deref(),
                Some(format!("RES-{n}").as_str())
            );
        }
    });
    let clear = place.file(
        "clear.csv",
        "accountId,newAccountId,resellerId\nOWN-1,,own\n",
    );
    run(&["apply", &clear, "--yes", "--allow-clear"]).expect(0);
    place.with_world(|world| assert_eq!(world.cockpit[&id(1)].identifiers[""], None));
}

#[test]
fn token_expiring_every_hundred_calls_is_renewed_once_each_time() {
    let place = Place::new(Options {
        token_calls: Some(100),
        ..Options::default()
    });
    place.with_world(|mut world| {
        (0..500).for_each(|n| world.add_plume(crate::support::customer(n)));
    });
    let mut text = String::from("accountId,newAccountId\n");
    (0..500).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let file = place.file("moves.csv", &text);
    let url = place.sandbox.base_url();
    place.file(
        "idshift.toml",
        &format!("[profiles.p]\nsystem = \"plume\"\n[profiles.p.oauth2]\ntoken_url = \"{url}/oauth2/token\"\nclient_id = \"c\"\nclient_secret_env = \"SECRET\"\n"),
    );
    let mut command = place.command(&[
        "apply",
        &file,
        "--yes",
        "--profile",
        "p",
        "--concurrency",
        "4",
    ]);
    let done = crate::support::finish(
        command
            .env_remove("IDSHIFT_TOKEN")
            .env("SECRET", "s")
            .spawn()
            .unwrap(),
    );
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
    let tokens = place.with_world(|world| world.tokens.count());
    assert!((5..=8).contains(&tokens), "{tokens}");
}

const CUSTOMER: &str = "abcdef00-0000-4000-8000-00000000000a";

fn cockpit() -> Place {
    let place = Place::new(Options {
        kind: Kind::CloudCockpit,
        ..Options::default()
    });
    place.with_world(|mut world| {
        world.add_cockpit(CUSTOMER, "", "OWN-1");
        world.add_cockpit(CUSTOMER, RESELLER, "RES-1");
        world.add_cockpit("abcdef00-0000-4000-8000-00000000000b", "", "OWN-2");
    });
    place
}

fn cockpit_run(place: &Place, base_url: &str, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command
        .env("IDSHIFT_SYSTEM", "cloudcockpit")
        .env("IDSHIFT_BASE_URL", base_url)
        .env("IDSHIFT_TENANT", "portal.example");
    finish(command.spawn().unwrap())
}

fn identifier(place: &Place, reseller: &str) -> Option<String> {
    place.with_world(|world| world.cockpit[CUSTOMER].identifiers[reseller].clone())
}

#[test]
fn two_spellings_of_a_guid_are_one_customer() {
    let place = cockpit();
    let (capitals, url) = (CUSTOMER.to_uppercase(), place.sandbox.base_url());
    let header = "accountId,newAccountId,customerId,resellerId\n";
    let two = place.file(
        "two.csv",
        &format!("{header},NEW-1,{capitals},own\n,NEW-2,{CUSTOMER},OWN\n"),
    );
    cockpit_run(&place, &url, &["apply", &two, "--yes"]).expect(2);
    assert_eq!(place.patches(), 0, "a contradiction, found before any call");
    // An answer in capitals means the same customer, too.
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = String::from_utf8(asked.honestly(&honest)).unwrap();
        let shouted = answer.replace(CUSTOMER, &CUSTOMER.to_uppercase());
        stream.write_all(shouted.as_bytes()).is_ok()
    });
    let one = place.file(
        "one.csv",
        &format!("{header}OWN-1,NEW-1,{capitals},Own\n,NEW-R,{CUSTOMER},{RESELLER}\n"),
    );
    for lookup in ["auto", "each"] {
        let options = ["apply", &one, "--yes", "--lookup", lookup];
        let done = cockpit_run(&place, &front.base_url(), &options);
        assert_eq!(done.code, 0, "{lookup}: {}{}", done.out, done.err);
    }
    assert_eq!(identifier(&place, "").as_deref(), Some("NEW-1"));
    assert_eq!(identifier(&place, RESELLER).as_deref(), Some("NEW-R"));
    let named = place.file(
        "named.csv",
        &format!("newAccountId,customerId\nNEW-3,{capitals}\n"),
    );
    let options = ["apply", &named, "--yes", "--reseller", "OWN"];
    cockpit_run(&place, &url, &options).expect(0);
    assert_eq!(identifier(&place, "").as_deref(), Some("NEW-3"));
}

#[test]
fn deleted_customer_is_reported_as_deleted() {
    let place = cockpit();
    place.with_world(|mut world| world.cockpit.get_mut(CUSTOMER).unwrap().deleted = true);
    let file = place.file(
        "deleted.csv",
        &format!("newAccountId,customerId,resellerId\nNEW-1,{CUSTOMER},own\n"),
    );
    let url = place.sandbox.base_url();
    for lookup in ["auto", "each"] {
        let options = ["apply", &file, "--yes", "--lookup", lookup];
        cockpit_run(&place, &url, &options).expect(1);
        assert_eq!(place.verdicts(), ["failed/not_found"]);
        let message = &place.rows("results.csv")[0]["idshift_message"];
        assert!(message.contains("deleted"), "{message}");
    }
    assert_eq!(place.patches(), 0);
}
