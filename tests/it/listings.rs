use crate::support::{Asked, Done, Front, Place, customer, finish, good_answer, named};
use idshift::sandbox::{Kind, Options};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

fn guid(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Makes a stand-in of a system that lists customers, with the references `REF-0` and so on.
fn place(kind: Kind, customers: u32) -> Place {
    let place = Place::new(Options {
        kind,
        ..Options::default()
    });
    place.with_world(|mut world| {
        for n in 0..customers {
            match kind {
                Kind::Adobe => world.add_adobe(&guid(n), &format!("REF-{n}"), "R1", 1),
                Kind::CloudCockpit => world.add_cockpit(&guid(n), "", &format!("REF-{n}")),
                Kind::Plume => world.add_plume(customer(n)),
            }
        }
    });
    place
}

fn run(place: &Place, kind: Kind, base_url: &str, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command
        .env("IDSHIFT_BASE_URL", base_url)
        .env("IDSHIFT_API_KEY", "key")
        .env("IDSHIFT_TENANT", "portal.example")
        .env("IDSHIFT_ACCEPT_WELCOME_EMAILS", "true");
    match kind {
        Kind::Adobe => {
            command.env("IDSHIFT_SYSTEM", "adobe");
            command.env("IDSHIFT_RESELLER_ID", "R1");
        }
        Kind::CloudCockpit => {
            command.env("IDSHIFT_SYSTEM", "cloudcockpit");
            command.env("IDSHIFT_RESELLER_ID", "own");
        }
        Kind::Plume => {}
    }
    finish(command.spawn().unwrap())
}

/// Returns a list of customers in the form of a system.
fn list_of(kind: Kind, items: &[Value], total: usize) -> Value {
    match kind {
        Kind::Adobe => json!({"totalCount": total, "count": items.len(), "accounts": items}),
        Kind::CloudCockpit => json!({"items": items, "totalCount": total, "hasNextPage": false}),
        Kind::Plume => json!(items),
    }
}

fn items_of(kind: Kind, body: &Value) -> Vec<Value> {
    let items = match kind {
        Kind::Adobe => &body["accounts"],
        Kind::CloudCockpit => &body["items"],
        Kind::Plume => body,
    };
    items.as_array().unwrap().clone()
}

/// Returns whether a request asks for the list of all customers.
fn lists(asked: &Asked) -> bool {
    let (path, _) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    asked.method == "GET"
        && (path.ends_with("/customers") || path.ends_with("/v1/Customers"))
        && !asked.path.contains("searchValue")
}

/// Returns a front that is honest except for its lists, which `turn` changes.
fn front(
    place: &Place,
    kind: Kind,
    turn: impl Fn(&Asked, Vec<Value>) -> Value + Send + Sync + 'static,
) -> Front {
    let honest = place.sandbox.base_url();
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        if !lists(asked) {
            return stream.write_all(&answer).is_ok();
        }
        let text = String::from_utf8(answer).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let list = turn(asked, items_of(kind, &body));
        stream.write_all(&good_answer(&list.to_string())).is_ok()
    })
}

fn references(place: &Place, kind: Kind) -> Vec<String> {
    place.with_world(|world| match kind {
        Kind::Adobe => (0..4)
            .map(|n| world.adobe[&guid(n)].body["externalReferenceId"].to_string())
            .map(|text| text.trim_matches('"').to_owned())
            .collect(),
        Kind::CloudCockpit => (0..4)
            .map(|n| world.cockpit[&guid(n)].identifiers[""].clone().unwrap())
            .collect(),
        Kind::Plume => (0..4)
            .map(|n| {
                world.plume[format!("C-{n}").as_str()]
                    .account_id
                    .to_string()
            })
            .collect(),
    })
}

#[test]
fn customer_listed_twice_is_not_confused_with_another_customer() {
    for kind in [Kind::Adobe, Kind::CloudCockpit] {
        let place = place(kind, 4);
        // The second customer is listed twice, and the third comes right after.
        let front = front(&place, kind, move |_, mut items| {
            if items.len() == 4 {
                items.insert(2, items[1].clone());
            }
            let total = items.len();
            list_of(kind, &items, total)
        });
        let id = guid(1);
        let file = place.file(
            "moves.csv",
            &format!("customerId,newAccountId\n{id},NEW-1\n"),
        );
        let run = |arguments: &[&str]| run(&place, kind, &front.base_url(), arguments);
        run(&["apply", &file, "--yes", "--lookup", "bulk"]).expect(0);
        assert_eq!(
            references(&place, kind),
            ["REF-0", "NEW-1", "REF-2", "REF-3"]
        );
        assert_eq!(place.rows("results.csv")[0]["idshift_customer_id"], id);
        assert_eq!(
            place.verdicts(),
            ["changed/"],
            "nor by the look after the run"
        );
        let done = run(&["verify"]);
        assert_eq!(done.code, 0, "{kind:?}: {}{}", done.out, done.err);
    }
}

#[test]
fn incomplete_list_does_not_prove_that_a_customer_is_absent() {
    for kind in [Kind::Adobe, Kind::CloudCockpit] {
        let place = place(kind, 4);
        // The last customer has the reference of the first, so it is ambiguous.
        place.with_world(|mut world| match kind {
            Kind::Adobe => {
                world.adobe.get_mut(&guid(3)).unwrap().body["externalReferenceId"] = json!("REF-0");
            }
            Kind::CloudCockpit | Kind::Plume => {
                let customer = world.cockpit.get_mut(&guid(3)).unwrap();
                customer
                    .identifiers
                    .insert(String::new(), Some("REF-0".into()));
            }
        });
        let front = front(&place, kind, move |asked, mut items| {
            let first = items.len() == 4 && !asked.path.contains("offset=3");
            items.truncate(if first { 3 } else { 0 });
            let total = if asked.path.contains("status=1002")
                || asked.path.contains("status=1004")
                || asked.path.contains("status=1026")
            {
                0
            } else {
                4
            };
            list_of(kind, &items, total)
        });
        let file = place.file(
            "moves.csv",
            "accountId,newAccountId\nREF-0,NEW-0\nREF-9,NEW-9\nREF-1,NEW-1\n",
        );
        let done = run(&place, kind, &front.base_url(), &["apply", &file, "--yes"]).expect(1);
        let verdicts = place.verdicts();
        if kind == Kind::Adobe {
            // Adobe has no other way to find a customer.
            assert_eq!(verdicts, ["failed/bad_answer"; 3], "{}", done.err);
            assert_eq!(place.patches(), 0);
            let lists = place.sandbox.log().len();
            assert!(lists <= 12, "{lists} calls for a list that is broken");
        } else {
            // `CloudCockpit` can search each customer.
            assert_eq!(
                verdicts,
                ["failed/ambiguous", "failed/not_found", "changed/"],
                "{}",
                done.err
            );
        }
    }
}

#[test]
fn unknown_adobe_reseller_is_named_and_ends_the_run() {
    let place = place(Kind::Adobe, 4);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if lists(asked) {
            let body = r#"{"code":"1115","message":"Invalid Reseller"}"#;
            let length = body.len();
            return stream
                .write_all(
                    format!("HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
                )
                .is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId\nREF-0,NEW-0\nREF-1,NEW-1\n",
    );
    for command in [
        &["plan", &file][..],
        &["apply", &file, "--yes"],
        &["doctor"],
    ] {
        let done = run(&place, Kind::Adobe, &front.base_url(), command).expect(2);
        let said = [done.out, done.err].concat();
        assert!(said.contains("reseller `R1`"), "{command:?}: {said}");
        assert!(!said.contains("not_found 2"), "{command:?}: {said}");
    }
    let good = run(&place, Kind::Adobe, &place.sandbox.base_url(), &["doctor"]);
    good.expect(0);
}

#[test]
fn plume_search_with_small_pages_is_read_to_the_end() {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 0..40 {
            world.add_plume(named(&format!("C-{n}"), &format!("ACC-1-{n}"), &[]));
        }
        world.add_plume(named("C-wanted", "ACC-1", &[]));
    });
    let all: Vec<Value> = (0..40)
        .map(|n| json!({"id": format!("C-{n}"), "accountId": format!("ACC-1-{n}")}))
        .chain([json!({"id": "C-wanted", "accountId": "ACC-1"})])
        .collect();
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let Some((path, query)) = asked.path.split_once('?') else {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        };
        if !path.ends_with("/search/ACC-1") {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        }
        let skip = query
            .split('&')
            .find_map(|part| part.strip_prefix("skip=")?.parse().ok())
            .unwrap_or(0);
        // The server returns at most ten customers, even if more are requested.
        let page: Vec<&Value> = all.iter().skip(skip).take(10).collect();
        stream
            .write_all(&good_answer(&json!(page).to_string()))
            .is_ok()
    });
    let file = place.file("moves.csv", "accountId,newAccountId\nACC-1,NEW-0001\n");
    let options = ["apply", &file, "--yes", "--lookup", "each"];
    run(&place, Kind::Plume, &front.base_url(), &options).expect(0);
    assert_eq!(place.account_of("C-wanted"), "NEW-0001");
}

#[test]
fn identifier_of_another_relationship_in_a_list_is_ignored() {
    let kind = Kind::CloudCockpit;
    let place = place(kind, 4);
    let front = front(&place, kind, move |_, mut items| {
        let mut other = items[1].clone();
        other["internalIdentifier"] = json!("REF-OTHER");
        other["resellerId"] = json!(guid(99));
        items.push(other);
        let total = items.len();
        list_of(kind, &items, total)
    });
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId\nREF-OTHER,NEW-9\nREF-2,NEW-2\nREF-3,NEW-3\n",
    );
    let done = run(&place, kind, &front.base_url(), &["apply", &file, "--yes"]).expect(1);
    let verdicts = place.verdicts();
    let expected = ["failed/not_found", "changed/", "changed/"];
    assert_eq!(verdicts, expected, "{}", done.err);
    assert_eq!(
        references(&place, kind),
        ["REF-0", "REF-1", "NEW-2", "NEW-3"]
    );
}

#[test]
fn unknown_cloudcockpit_reseller_is_named_in_the_failed_line() {
    let kind = Kind::CloudCockpit;
    let place = place(kind, 4);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if !asked.path.contains(&guid(99)) {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        }
        let body = r#"{"statusCode":404,"type":"ResellerNotFound"}"#;
        let length = body.len();
        stream
            .write_all(
                format!("HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
            )
            .is_ok()
    });
    let (id, nobody) = (guid(0), guid(99));
    let file = place.file(
        "moves.csv",
        &format!("accountId,newAccountId,resellerId\nREF-0,NEW-0,own\nREF-1,NEW-1,{nobody}\n"),
    );
    run(&place, kind, &front.base_url(), &["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["changed/", "failed/rejected"]);
    let rows = place.rows("results.csv");
    assert!(
        rows[1]["idshift_message"].contains(&nobody),
        "{:?}",
        rows[1]
    );
    assert_eq!(rows[0]["idshift_customer_id"], id);
}

/// Changes the second page of a list of sixty the first time that it is read. Returns how many list calls were made.
fn lists_where(shifts: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) -> usize {
    let kind = Kind::Adobe;
    let place = place(kind, 60);
    let shifted = std::sync::atomic::AtomicBool::new(false);
    let front = front(&place, kind, move |asked, mut items| {
        let second = asked.path.contains("offset=49");
        if second && !shifted.swap(true, std::sync::atomic::Ordering::Relaxed) {
            shifts(&mut items);
        }
        let total = if asked.path.contains("status=1000") {
            60
        } else {
            0
        };
        list_of(kind, &items, total)
    });
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId\nREF-59,NEW-59\nREF-49,NEW-49\n",
    );
    run(&place, kind, &front.base_url(), &["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["changed/"; 2]);
    let log = place.sandbox.log();
    log.iter()
        .filter(|seen| seen.path.contains("resellers"))
        .count()
}

#[test]
fn adobe_list_that_changes_during_reading_is_read_again() {
    let listed = |n: u32| json!({"customerId": guid(n), "externalReferenceId": format!("REF-{n}")});
    // A customer was added before the page: some customers of the first page appear again, and the last of all does not
    // appear.
    let came_in = move |items: &mut Vec<Value>| {
        items.pop();
        items.insert(0, listed(48));
    };
    // Two customers of the first page were removed and two added at the end: the number is the same, and one customer
    // is on neither page.
    let went = move |items: &mut Vec<Value>| {
        items.drain(..2);
        items.extend([listed(98), listed(99)]);
    };
    // Two pages and three empty lists, two pages again, and five lists for the check after the run.
    assert_eq!(lists_where(came_in), 12);
    assert_eq!(lists_where(went), 12);
}

/// A customer of the first page is removed before the second page is read, so that another customer is on neither page.
#[test]
fn cloudcockpit_list_that_changes_during_reading_is_read_again() {
    let kind = Kind::CloudCockpit;
    let place = place(kind, 6);
    let pages = AtomicU32::new(0);
    let front = front(&place, kind, move |asked, _| {
        let all: Vec<Value> = (0..6)
            .map(|n| json!({"id": guid(n), "internalIdentifier": format!("REF-{n}")}))
            .collect();
        let number = asked.path.split("pageNumber=").nth(1).unwrap();
        let number: usize = number.split('&').next().unwrap().parse().unwrap();
        let moved = usize::from(pages.fetch_add(1, Ordering::Relaxed) == 1);
        let from = (number - 1) * 2 + moved;
        let items = &all[from..(from + 2).min(6)];
        json!({"items": items, "totalCount": 6 - moved, "hasNextPage": from + 2 < 6})
    });
    // The third customer has this ID; at first this customer is on no page.
    let text = "accountId,newAccountId\nREF-1,REF-2\nREF-0,NEW-0\nREF-4,NEW-4\nREF-5,NEW-5\n";
    let file = place.file("moves.csv", text);
    run(&place, kind, &front.base_url(), &["apply", &file, "--yes"]).expect(1);
    let changed = "changed/";
    assert_eq!(
        place.verdicts(),
        ["failed/conflict", changed, changed, changed]
    );
}
