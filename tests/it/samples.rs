use crate::support::{Done, Place, customer, finish, in_a_namespace};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use yaml_rust2::{Yaml, YamlLoader};

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("samples")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn yaml(name: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(&sample(name)).unwrap();
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

/// Returns the value at a path such as `spec.schedule`.
fn at<'a>(yaml: &'a Yaml, path: &str) -> &'a Yaml {
    path.split('.').fold(yaml, |yaml, key| &yaml[key])
}

fn text<'a>(yaml: &'a Yaml, path: &str) -> &'a str {
    at(yaml, path)
        .as_str()
        .unwrap_or_else(|| panic!("{path} is a text"))
}

/// A pod of the sample, with its folders below the test's folder.
struct Pod {
    place: Place,
    args: Vec<String>,
    env: Vec<(String, String)>,
    mounts: Vec<(String, PathBuf)>,
    /// The user and group that it runs as, if the test may choose them; and a copy of the program that this user can read.
    user: Option<(u32, u32, PathBuf)>,
}

impl Pod {
    fn new() -> Self {
        let place = Place::plume();
        let cron = yaml("kubernetes/cronjob.yaml");
        let pod = at(&cron, "spec.jobTemplate.spec.template.spec");
        let container = &pod["containers"][0];
        let words = container["args"].as_vec().unwrap().iter();
        let args = words
            .map(|word| word.as_str().unwrap().to_owned())
            .collect();
        let variables = container["env"].as_vec().unwrap().iter();
        let env = variables
            .map(|one| {
                // The name of the job comes from the pod's labels.
                let value = one["value"].as_str().unwrap_or("$(JOB_NAME)");
                (text(one, "name").to_owned(), value.to_owned())
            })
            .collect();
        let folder = place.path().join("volumes");
        std::fs::create_dir(&folder).unwrap();
        let mounts = container["volumeMounts"].as_vec().unwrap().iter();
        let mounts: Vec<_> = mounts
            .map(|one| {
                (
                    text(one, "mountPath").to_owned(),
                    folder.join(text(one, "name")),
                )
            })
            .collect();
        for (_, path) in &mounts {
            std::fs::create_dir(path).unwrap();
        }
        let number =
            |name: &str| u32::try_from(pod["securityContext"][name].as_i64().unwrap()).unwrap();
        let (user, group) = (number("runAsUser"), number("fsGroup"));
        // Only root can run a process as another user.
        let is_root = place.path().metadata().unwrap().uid() == 0;
        let user = is_root.then(|| {
            let program = place.path().join("idshift");
            std::fs::copy(env!("CARGO_BIN_EXE_idshift"), &program).unwrap();
            (user, group, program)
        });
        if user.is_some() {
            std::fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        }
        Self {
            place,
            args,
            env,
            mounts,
            user,
        }
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.place.path().join("volumes").join(name)
    }

    /// Returns where a path of the pod is in the test's folder.
    fn outside(&self, value: &str) -> String {
        let found = self.mounts.iter().find_map(|(mount, folder)| {
            let rest = value.strip_prefix(mount.as_str())?;
            (rest.is_empty() || rest.starts_with('/'))
                .then(|| format!("{}{rest}", folder.display()))
        });
        found.unwrap_or_else(|| value.to_owned())
    }

    /// Does what the kubelet does to a volume when it is mounted (`SetVolumeOwnership`): the pod's group owns it and
    /// may write, and new files inherit the group. With the policy `Always`, this is repeated for all files at each
    /// start.
    fn mount(&self, name: &str) {
        self.own(&self.volume(name));
    }

    fn own(&self, path: &Path) {
        let meta = path.metadata().unwrap();
        if let Some((_, group, _)) = self.user {
            chown(path, None, Some(group)).unwrap();
        }
        let added = if meta.is_dir() { 0o2770 } else { 0o660 };
        std::fs::set_permissions(path, Permissions::from_mode(meta.mode() & 0o7777 | added))
            .unwrap();
        if meta.is_dir() {
            let entries = std::fs::read_dir(path).unwrap();
            entries.for_each(|entry| self.own(&entry.unwrap().path()));
        }
    }

    /// Runs the pod of this job.
    fn run(&self, job: &str) -> Done {
        let usual = PathBuf::from(env!("CARGO_BIN_EXE_idshift"));
        let mut command =
            Command::new(self.user.as_ref().map_or(&usual, |(_, _, program)| program));
        command
            .env_clear()
            .env("IDSHIFT_BASE_URL", self.place.sandbox.base_url());
        command.envs(
            self.env
                .iter()
                .map(|(name, value)| (name, self.outside(value))),
        );
        let words = self.args.iter();
        command.args(words.map(|word| self.outside(&word.replace("$(JOB_NAME)", job))));
        command.args(["--rate", "unlimited"]);
        if let Some((user, group, _)) = self.user {
            command.uid(user).gid(group);
        }
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        finish(command.spawn().unwrap())
    }
}

/// Makes a file of 200 lines. All except the first `open` are already in place, as in most nights.
fn mostly_done(place: &Place, open: u32) -> String {
    let file = place.moves(200);
    place.with_world(|mut world| {
        (open..200).for_each(|n| world.rename_plume(&format!("C-{n}"), &format!("B-{n:06}")));
    });
    file
}

/// Writes the file of the `ConfigMap`, with the stand-in's address and the pod's paths in the test's folder.
fn configure(pod: &Pod) {
    let map = yaml("kubernetes/configmap.yaml");
    let token_url = format!("{}/oauth2/token", pod.place.sandbox.base_url());
    let file = map["data"]["idshift.toml"].as_str().unwrap();
    let file = file
        .replace("https://sso.example.com/oauth2/ID/v1/token", &token_url)
        .replace(
            "\"/credentials/",
            &format!("\"{}/", pod.volume("credentials").display()),
        );
    std::fs::write(pod.volume("config").join("idshift.toml"), file).unwrap();
    let secret = pod.volume("credentials").join("plume-basic-header");
    std::fs::write(&secret, "Basic Yzpv").unwrap();
    let owner = pod.user.as_ref().map(|_| 0);
    let group = pod.user.as_ref().map(|(_, group, _)| *group);
    chown(&secret, owner, group).unwrap();
    let bits = if pod.user.is_some() { 0o440 } else { 0o400 };
    std::fs::set_permissions(&secret, Permissions::from_mode(bits)).unwrap();
}

#[test]
fn cron_job_sample_succeeds_repeatedly_with_kubelet_file_modes() {
    let pod = Pod::new();
    mostly_done(&pod.place, 5);
    configure(&pod);
    let file = pod.volume("input").join("customers.csv");
    std::fs::copy(pod.place.path().join("moves.csv"), &file).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    for (night, writes) in [(1, 5), (2, 6), (3, 6)] {
        pod.mount("runs");
        let mode = pod.volume("runs").metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o2775, "what the kubelet leaves");
        if night == 2 {
            pod.place
                .with_world(|mut world| world.add_plume(customer(900)));
            let lines = std::fs::read_to_string(&file).unwrap();
            std::fs::write(
                &file,
                format!(
                    "{lines}A-000900,B-000900
"
                ),
            )
            .unwrap();
        }
        let done = pod.run(&format!("idshift-reconcile-{night}"));
        assert_eq!(done.code, 0, "night {night}: {}{}", done.out, done.err);
        assert!(
            !done.err.contains("may read"),
            "night {night}: {}",
            done.err
        );
        assert!(
            !done.err.contains("means nothing"),
            "night {night}: {}",
            done.err
        );
        assert_eq!(pod.place.patches(), writes, "night {night}");
    }
    let runs = pod.volume("runs").join("idshift-runs");
    let before = std::fs::read_dir(&runs).unwrap().count();
    assert!(before >= 3);
    // A replacement pod continues the run of its job, which has finished.
    let again = pod.run("idshift-reconcile-3");
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
    assert!(again.err.contains("nothing is done"), "{}", again.err);
    assert_eq!(std::fs::read_dir(&runs).unwrap().count(), before);
}

#[test]
fn the_cron_job_has_the_fields_that_it_needs() {
    let cron = yaml("kubernetes/cronjob.yaml");
    assert_eq!(
        (text(&cron, "apiVersion"), text(&cron, "kind")),
        ("batch/v1", "CronJob")
    );
    assert_eq!(text(&cron, "spec.concurrencyPolicy"), "Forbid");
    assert!(text(&cron, "spec.timeZone").contains('/'));
    assert_eq!(text(&cron, "spec.schedule").split(' ').count(), 5);
    let job = at(&cron, "spec.jobTemplate.spec");
    assert_eq!(job["backoffLimit"].as_i64(), Some(0));
    let pod = at(job, "template.spec");
    assert_eq!(text(pod, "restartPolicy"), "Never");
    // The Pod Security profile `restricted`, by its list of fields.
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"].as_bool(), Some(true));
    assert_eq!(text(security, "seccompProfile.type"), "RuntimeDefault");
    assert_eq!(text(security, "fsGroupChangePolicy"), "OnRootMismatch");
    assert!(security["runAsUser"].as_i64().unwrap() > 0);
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(security["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(security["capabilities"]["drop"][0].as_str(), Some("ALL"));
    assert!(security["capabilities"]["add"].is_badvalue());
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[field].is_badvalue(), "{field}");
    }
    assert!(!at(container, "resources.requests.memory").is_badvalue());
    assert!(!at(container, "resources.limits.memory").is_badvalue());
    let args = container["args"].as_vec().unwrap();
    assert!(args.iter().any(|word| word.as_str() == Some("--until")));
    // Each volume is mounted, and each of them is of a kind that `restricted` allows.
    let names = |list: &Yaml| -> Vec<String> {
        let list = list.as_vec().unwrap().iter();
        list.map(|one| text(one, "name").to_owned()).collect()
    };
    let volumes = &pod["volumes"];
    assert_eq!(names(volumes), names(&container["volumeMounts"]));
    for volume in volumes.as_vec().unwrap() {
        let kinds = ["persistentVolumeClaim", "configMap", "secret", "emptyDir"];
        let known = kinds.iter().filter(|kind| !volume[**kind].is_badvalue());
        assert_eq!(known.count(), 1, "{volume:?}");
    }
    let secret = volumes
        .as_vec()
        .unwrap()
        .iter()
        .find(|one| !one["secret"].is_badvalue());
    assert_eq!(
        secret.unwrap()["secret"]["defaultMode"].as_i64(),
        Some(440),
        "in octal digits"
    );
}

#[test]
fn sample_profiles_are_valid_and_use_oauth2_with_credential_files() {
    let place = Place::plume();
    let map = yaml("kubernetes/configmap.yaml");
    place.file(
        "kubernetes.toml",
        map["data"]["idshift.toml"].as_str().unwrap(),
    );
    place.file("systemd.toml", &sample("systemd/idshift.toml"));
    let credentials = place.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("plume-basic-header"), "Basic Yzpv").unwrap();
    for (file, token) in [
        (
            "kubernetes.toml",
            "/credentials/plume-basic-header cannot be read",
        ),
        (
            "systemd.toml",
            "set (from oauth2 with basic_header_file, profile plume)",
        ),
    ] {
        let mut command = place.command(&["config", "--config", file, "--profile", "plume"]);
        command
            .env_remove("IDSHIFT_TOKEN")
            .env_remove("IDSHIFT_BASE_URL")
            .env("CREDENTIALS_DIRECTORY", &credentials);
        let done = finish(command.spawn().unwrap()).expect(0);
        assert!(
            done.out.contains("https://plume.example.com"),
            "{}",
            done.out
        );
        assert!(done.out.contains(token), "{}", done.out);
    }
}

/// Runs `systemd-analyze` on the units with the program of this build; `None`: it is not installed.
fn analyzed(place: &Place, arguments: &[&str]) -> Option<(bool, String)> {
    let folder = place.path().join("units");
    std::fs::create_dir_all(&folder).unwrap();
    for name in [
        "idshift-reconcile.service",
        "idshift-reconcile.timer",
        "idshift-failed@.service",
    ] {
        let program = format!("ExecStart={} ", env!("CARGO_BIN_EXE_idshift"));
        let unit = sample(&format!("systemd/{name}")).replace("ExecStart=idshift ", &program);
        std::fs::write(folder.join(name), unit).unwrap();
    }
    let done = Command::new("systemd-analyze")
        .args(arguments)
        .current_dir(&folder)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()))
        .output();
    let done = match done {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return None,
        done => done.unwrap(),
    };
    let said = [done.stdout, done.stderr].concat();
    Some((
        done.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[test]
fn systemd_units_are_valid_and_have_low_exposure() {
    let place = Place::plume();
    let verify = [
        "verify",
        "idshift-reconcile.service",
        "idshift-reconcile.timer",
        "idshift-failed@.service",
    ];
    // In this case .ci/run reports that the check did not run.
    let Some((is_good, said)) = analyzed(&place, &verify) else {
        return;
    };
    assert!(is_good && said.trim().is_empty(), "{said}");
    let security = [
        "security",
        "--offline=true",
        "--threshold=20",
        "idshift-reconcile.service",
    ];
    let (is_good, said) = analyzed(&place, &security).unwrap();
    assert!(is_good, "{said}");
    let line = said
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let level = line.unwrap().split(':').nth(1).unwrap();
    let level: f64 = level.split_whitespace().next().unwrap().parse().unwrap();
    assert!(level <= 2.0, "{level}");
}

/// Returns the values of a setting of a unit.
fn settings<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    unit.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .collect()
}

#[test]
fn systemd_service_loads_the_credentials_that_its_config_names() {
    let unit = sample("systemd/idshift-reconcile.service");
    assert_eq!(settings(&unit, "OnFailure"), ["idshift-failed@%n.service"]);
    assert!(
        !settings(&unit, "SupplementaryGroups").is_empty(),
        "how it reads the CRM's file"
    );
    let environment = settings(&unit, "Environment");
    assert!(environment.contains(&"IDSHIFT_CONFIG=/etc/idshift/idshift.toml"));
    let file: toml::Table = sample("systemd/idshift.toml").parse().unwrap();
    let named = file["profiles"]["plume"]["oauth2"]["basic_header_file"]
        .as_str()
        .unwrap();
    let credentials = settings(&unit, "LoadCredential");
    let handed_over: Vec<_> = credentials
        .iter()
        .map(|one| one.split(':').next().unwrap())
        .collect();
    assert_eq!(handed_over, [named]);
    // The program accepts the command; only the input file is missing.
    let command = settings(&unit, "ExecStart")[0].replace("%%", "%");
    let place = Place::plume();
    place.file("idshift.toml", &sample("systemd/idshift.toml"));
    let mut words: Vec<&str> = command.split(' ').skip(1).collect();
    let file = mostly_done(&place, 2);
    words[1] = &file;
    place.run(&words).expect(0);
    assert_eq!(place.patches(), 2);
}

/// A folder that others may write to is refused; the message names the cause and what to do.
#[test]
fn runs_folder_writable_by_other_users_is_refused_with_cause_and_fix() {
    let place = Place::plume();
    let file = place.moves(2);
    let runs = place.path().join("idshift-runs");
    std::fs::create_dir(&runs).unwrap();
    std::fs::set_permissions(&runs, Permissions::from_mode(0o2777)).unwrap();
    for more in [&[][..], &["--allow-group-write"]] {
        let done = place
            .run(&[&["apply", &file, "--yes"], more].concat())
            .expect(2);
        assert!(
            done.err
                .contains("every user of this machine may write into"),
            "{}",
            done.err
        );
        assert!(done.err.contains("chmod o-w"), "{}", done.err);
    }
    // The group has another member.
    std::fs::set_permissions(&runs, Permissions::from_mode(0o2775)).unwrap();
    place.file("group", "root:x:0:\nnight:x:0:anna\n");
    let with_members = |arguments: &[&str]| {
        let idshift = place.command(arguments);
        let mut command = in_a_namespace(&place, &idshift, "mount --bind group /etc/group")?;
        Some(finish(command.spawn().unwrap()))
    };
    let apply = ["apply", &*file, "--yes"];
    let Some(done) = with_members(&apply) else {
        return;
    };
    let done = done.expect(2);
    for words in [
        "other members of its group 0 (anna)",
        "mode 2775",
        "fsGroup",
        "--allow-group-write",
        "chmod g-w",
    ] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
    assert_eq!(place.patches(), 0);
    let allowed = [&apply[..], &["--allow-group-write"]].concat();
    with_members(&allowed).unwrap().expect(0);
}
