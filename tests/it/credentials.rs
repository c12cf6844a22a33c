use crate::support::{Asked, Done, Front, Place, finish};
use idshift::sandbox::Options;
use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Writes a profile `p` with these lines in its table for the token endpoint at this address.
fn profile(place: &Place, address: &str, lines: &str) {
    place.file(
        "idshift.toml",
        &format!("[profiles.p.oauth2]\ntoken_url = \"{address}/oauth2/token\"\n{lines}\n"),
    );
}

fn command(place: &Place, arguments: &[&str]) -> std::process::Command {
    let mut command = place.command(arguments);
    command
        .env_remove("IDSHIFT_TOKEN")
        .env("IDSHIFT_PROFILE", "p")
        .env("PATH", std::env::var_os("PATH").unwrap());
    command
}

fn run(place: &Place, arguments: &[&str]) -> Done {
    finish(command(place, arguments).spawn().unwrap())
}

fn private(place: &Place, name: &str, text: &str) {
    place.file(name, text);
    std::fs::set_permissions(place.path().join(name), mode(0o600)).unwrap();
}

fn mode(mode: u32) -> std::fs::Permissions {
    std::fs::Permissions::from_mode(mode)
}

/// Returns a front that keeps header and body of each request for a token, and refuses those for which `refuses`
/// returns `true`.
fn watched(
    place: &Place,
    refuses: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Front, Arc<Mutex<Vec<(Option<String>, String)>>>) {
    let honest = place.sandbox.base_url();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let front = Front::new(move |asked: &Asked, stream| {
        if asked.path != "/oauth2/token" {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        }
        let header = asked.header("authorization");
        let body = String::from_utf8(asked.body().to_vec()).unwrap();
        let all = format!("{}\n{body}", header.as_deref().unwrap_or_default());
        kept.lock().unwrap().push((header, body));
        let answer = if refuses(&all) {
            let body = "{\"error\":\"invalid_client\"}";
            let length = body.len();
            format!("HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
                .into_bytes()
        } else {
            asked.honestly(&honest)
        };
        stream.write_all(&answer).is_ok()
    });
    (front, seen)
}

#[test]
fn client_id_and_secret_are_sent_in_form_or_header_as_configured() {
    let form = "grant_type=client_credentials&client_id=me&client_secret=s%2B1";
    // base64 of `me:s%2B1`
    let header = "Basic bWU6cyUyQjE=";
    let alone = "grant_type=client_credentials";
    for (lines, authorization, body) in [
        (
            "client_id = \"me\"\nclient_secret_file = \"secret\"",
            None,
            form,
        ),
        (
            "client_auth = \"form\"\nclient_id = \"me\"\nclient_secret_file = \"secret\"",
            None,
            form,
        ),
        (
            "client_auth = \"form\"\nclient_id = \"me\"\nclient_secret_command = [\"cat\", \"secret\"]",
            None,
            form,
        ),
        (
            "client_auth = \"basic\"\nclient_id = \"me\"\nclient_secret_file = \"secret\"",
            Some(header),
            alone,
        ),
        (
            "client_auth = \"basic\"\nclient_id = \"me\"\nclient_secret_command = [\"cat\", \"secret\"]",
            Some(header),
            alone,
        ),
        ("basic_header_file = \"header\"", Some(header), alone),
        (
            "basic_header_command = [\"cat\", \"header\"]",
            Some(header),
            alone,
        ),
        (
            "basic_header_command = [\"cat\", \"bare\"]\nclient_auth = \"basic\"",
            Some(header),
            alone,
        ),
    ] {
        let place = Place::plume();
        let file = place.moves(3);
        private(&place, "secret", "s+1\n");
        private(&place, "header", &format!("Authorization: {header}\n"));
        private(&place, "bare", "\"bWU6cyUyQjE=\"");
        let (front, seen) = watched(&place, |_| false);
        profile(&place, &front.base_url(), lines);
        let done = run(&place, &["apply", &file, "--yes"]).expect(0);
        assert!(!done.err.contains("others may read"), "{}", done.err);
        let seen = seen.lock().unwrap();
        let expected = (authorization.map(str::to_owned), body.to_owned());
        assert_eq!(*seen, [expected], "{lines}");
        let source = run(&place, &["config"]).expect(0).out;
        let known = [
            "client_secret_file",
            "client_secret_command",
            "basic_header_file",
            "basic_header_command",
        ];
        let setting = known.into_iter().find(|name| lines.contains(name)).unwrap();
        assert!(
            source.contains(&format!("oauth2 with {setting}")),
            "{source}"
        );
    }
}

#[test]
fn contradictory_or_incomplete_oauth2_table_names_the_setting() {
    let place = Place::plume();
    place.moves(1);
    private(&place, "secret", "s");
    for (lines, words) in [
        (
            "client_id = \"c\"",
            "set client_secret_file, client_secret_command or client_secret_env",
        ),
        ("client_secret_file = \"secret\"", "client_id is missing"),
        (
            "client_id = \"c\"\nclient_secret_file = \"nosuch\"",
            "nosuch cannot be read",
        ),
        (
            "basic_header_file = \"nosuch\"",
            "basic_header_file names it",
        ),
        (
            "client_auth = \"digest\"\nclient_id = \"c\"\nclient_secret_file = \"secret\"",
            "`digest` is not one of basic, form",
        ),
        (
            "client_auth = \"form\"\nbasic_header_file = \"secret\"",
            "client_auth = \"form\"",
        ),
        (
            "client_id = \"c\"\nclient_secret_file = \"secret\"\nclient_secret_command = [\"cat\"]",
            "keep only one of them",
        ),
        (
            "basic_header_env = \"X\"\nbasic_header_file = \"secret\"",
            "basic_header_env and basic_header_file",
        ),
        ("basic_header_command = \"cat secret\"", "must be a list"),
        (
            "basic_header_comand = [\"cat\"]",
            "is `basic_header_command` meant?",
        ),
    ] {
        profile(&place, &place.sandbox.base_url(), lines);
        let done = run(&place, &["doctor"]).expect(2);
        assert!(done.err.contains(words), "{lines}: {}", done.err);
    }
    assert!(place.sandbox.log().is_empty());
}

#[test]
fn secret_command_without_a_valid_secret_is_an_error() {
    let place = Place::plume();
    let file = place.moves(2);
    let (secret, header) = (
        ("client_secret_command", "client's secret"),
        ("basic_header_command", "Basic header"),
    );
    for (script, (setting, what), words) in [
        ("echo hunter2; exit 3", secret, "exit status: 3"),
        ("true", header, "it is empty"),
        (
            "echo hunter2; echo hunter3",
            secret,
            "it must be a single line",
        ),
        (
            "echo hunter2; echo hunter3",
            header,
            "it must be a single line",
        ),
        ("echo Bearer hunter2", secret, "which is a token"),
    ] {
        let lines = format!("client_id = \"c\"\n{setting} = [\"sh\", \"-c\", \"{script}\"]");
        profile(&place, &place.sandbox.base_url(), &lines);
        let done = run(&place, &["apply", &file, "--yes"]).expect(2);
        let named = format!("the {what} command `sh`");
        let said = [done.out, done.err].concat();
        assert!(
            said.contains(words) && said.contains(&named),
            "{script}: {said}"
        );
        assert!(!said.contains("hunter"), "{said}");
    }
    assert!(place.sandbox.log().is_empty());
}

/// A file in the working folder that others may write must not make the program run theirs.
#[test]
fn secret_commands_run_only_if_no_other_user_can_write_the_config() {
    let place = Place::plume();
    let file = place.moves(1);
    for setting in ["client_secret_command", "basic_header_command"] {
        let lines = format!("client_id = \"c\"\n{setting} = [\"touch\", \"ran\"]");
        profile(&place, &place.sandbox.base_url(), &lines);
        let config = place.path().join("idshift.toml");
        std::fs::set_permissions(&config, mode(0o666)).unwrap();
        let done = run(&place, &["apply", &file, "--yes"]).expect(2);
        assert!(
            done.err.contains(&format!("has {setting} but")),
            "{}",
            done.err
        );
        assert!(!place.path().join("ran").exists());
    }
}

/// The endpoint accepts only another secret after some time, and the file contains it at that time or a little later.
#[test]
fn secret_rotation_during_a_run_makes_no_line_fail() {
    for (lines, text) in [
        ("client_id = \"c\"\nclient_secret_file = \"secret\"", ""),
        (
            "client_auth = \"basic\"\nclient_id = \"c\"\nclient_secret_command = [\"cat\", \"secret\"]",
            "",
        ),
        ("basic_header_file = \"secret\"", "Basic "),
        ("basic_header_command = [\"cat\", \"secret\"]", "Basic "),
    ] {
        let place = Place::new(Options {
            token_calls: Some(60),
            ..Options::default()
        });
        let file = place.moves(100);
        // base64 of `c:one` and `c:two`
        let (old, new) = if text.is_empty() {
            ("one", "two")
        } else {
            ("YzpvbmU=", "Yzp0d28=")
        };
        let is_basic = lines.contains("\"basic\"");
        let old_as_sent = if is_basic { "YzpvbmU=" } else { old };
        private(&place, "secret", &format!("{text}{old}\n"));
        let (count, path) = (AtomicUsize::new(0), place.path().join("secret"));
        let refuses = move |sent: &str| {
            let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
            if !is_first {
                // The file is replaced by renaming, as programs do it.
                let next = path.with_extension("next");
                std::fs::write(&next, format!("{text}{new}\n")).unwrap();
                std::fs::set_permissions(&next, mode(0o600)).unwrap();
                std::fs::rename(&next, &path).unwrap();
            }
            !is_first && sent.contains(old_as_sent)
        };
        let (front, seen) = watched(&place, refuses);
        profile(&place, &front.base_url(), lines);
        let how = [
            "apply",
            &file,
            "--yes",
            "--concurrency",
            "4",
            "--lookup",
            "each",
        ];
        run(&place, &how).expect(0);
        assert_eq!(place.verdicts(), ["changed/"; 100], "{lines}");
        place.judge_writes();
        let seen = seen.lock().unwrap();
        let last = format!("{:?}", seen.last().unwrap());
        let new_as_sent = if is_basic { "Yzp0d28=" } else { new };
        assert!(last.contains(new_as_sent), "{last}");
        assert!(seen.len() < 10, "{}", seen.len());
    }
}

/// The token itself is in a file that another program renews.
#[test]
fn token_file_renewed_during_a_run_makes_no_line_fail() {
    let place = Place::new(Options {
        tokens: Some(vec!["two".to_owned()]),
        ..Options::default()
    });
    let file = place.moves(20);
    private(&place, "token", "one\n");
    let path = place.path().join("token");
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream| {
        // The system refuses the old token from now on.
        if asked.header("authorization").as_deref() == Some("Bearer one") {
            std::fs::write(&path, "two\n").unwrap();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let mut command = place.command(&["apply", &file, "--yes", "--base-url", &front.base_url()]);
    command
        .env_remove("IDSHIFT_TOKEN")
        .env("IDSHIFT_TOKEN_FILE", "token");
    finish(command.spawn().unwrap()).expect(0);
    assert_eq!(place.patches(), 20);
}

/// Returns the warnings of a run about the permissions of this file.
fn warnings(place: &Place, name: &str, credentials: Option<&Path>) -> String {
    profile(
        place,
        &place.sandbox.base_url(),
        &format!("basic_header_file = \"{name}\""),
    );
    let mut command = command(place, &["doctor"]);
    if let Some(folder) = credentials {
        command.env("CREDENTIALS_DIRECTORY", folder);
    }
    finish(command.spawn().unwrap()).expect(0).err
}

#[test]
fn systemd_credential_is_found_by_name_without_a_warning() {
    let place = Place::plume();
    place.moves(1);
    let folder = place.path().join("credentials");
    std::fs::create_dir(&folder).unwrap();
    // As systemd creates it: an access list appears as the group's permissions.
    std::fs::write(folder.join("plume"), "Basic Yzpv\n").unwrap();
    std::fs::set_permissions(folder.join("plume"), mode(0o440)).unwrap();
    assert!(!warnings(&place, "plume", Some(&folder)).contains("others may read"));
    let whole = folder.join("plume").display().to_string();
    assert!(!warnings(&place, &whole, Some(&folder)).contains("others may read"));
    // With the folder of credentials, a file of the same name in the working folder is ignored; without that folder it
    // is used and checked.
    place.file("plume", "not a header");
    assert!(!warnings(&place, "plume", Some(&folder)).contains("others may read"));
    place.file("plume", "Basic Yzpv\n");
    std::fs::set_permissions(place.path().join("plume"), mode(0o644)).unwrap();
    let warned = warnings(&place, "plume", None);
    assert!(warned.contains("others may read the secret in plume (mode 0644): chmod 600 plume"));
    // A link in the folder of credentials does not make a public file private.
    symlink(place.path().join("plume"), folder.join("link")).unwrap();
    assert!(warnings(&place, "link", Some(&folder)).contains("others may read"));
    // This name is in neither folder.
    profile(
        &place,
        &place.sandbox.base_url(),
        "basic_header_file = \"nosuch\"",
    );
    let mut command = command(&place, &["doctor"]);
    command.env("CREDENTIALS_DIRECTORY", &folder);
    let done = finish(command.spawn().unwrap()).expect(2);
    assert!(done.err.contains("LoadCredential="), "{}", done.err);
}

/// Kubernetes mounts secrets as links to files of root that the pod's group may read.
#[test]
fn root_file_readable_by_own_group_causes_no_warning() {
    let place = Place::plume();
    place.moves(1);
    let secrets = place.path().join("secrets");
    std::fs::create_dir_all(secrets.join("..data")).unwrap();
    let file = secrets.join("..data/plume");
    std::fs::write(&file, "Basic Yzpv\n").unwrap();
    symlink("..data/plume", secrets.join("plume")).unwrap();
    let mut said = String::new();
    // Only root can create files that belong to root.
    let is_root = chown(&file, Some(0), None).is_ok();
    for (bits, is_private) in [
        (0o440, is_root),
        (0o640, is_root),
        (0o444, false),
        (0o460, false),
    ] {
        std::fs::set_permissions(&file, mode(bits)).unwrap();
        let warned = warnings(&place, "secrets/plume", None);
        writeln!(said, "{bits:o}: {warned}").unwrap();
        assert_eq!(warned.contains("others may read"), !is_private, "{said}");
    }
    if is_root && chown(&file, Some(0), Some(4321)).is_ok() {
        std::fs::set_permissions(&file, mode(0o440)).unwrap();
        let warned = warnings(&place, "secrets/plume", None);
        assert!(
            warned.contains("others may read"),
            "of another group: {warned}"
        );
    }
}
