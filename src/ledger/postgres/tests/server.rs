//! A PostgreSQL server for tests: made by `initdb`, on a Unix socket and a port of its own, run by a user who is not root.
//!
//! A shell stands between the test and the server. It waits for the end of its input, which ends with the test, however
//! that ends; then it stops the server, by its own process ID, and removes the folder.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The role that may do everything.
pub(crate) const ADMIN: &str = "admin";

const START: &str = r#"
folder=$1; bin=$2; port=$3; primary=$4; its_port=$5
mkdir "$folder/data" && chmod 700 "$folder/data" &&
if [ -n "$primary" ]; then
    "$bin/pg_basebackup" --host "$primary" --port "$its_port" --username admin --pgdata "$folder/data" \
        --checkpoint fast --write-recovery-conf --no-sync >"$folder/log" 2>&1
else
    "$bin/initdb" --pgdata "$folder/data" --username admin --auth trust --no-sync --no-locale --encoding UTF8 \
        >"$folder/log" 2>&1
fi &&
cat >>"$folder/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$folder'
max_connections = 60
shared_buffers = 16MB
END
cat >"$folder/data/pg_hba.conf" <<END
local all,replication all trust
host all +asked 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
END
"$bin/postgres" -D "$folder/data" >>"$folder/log" 2>&1 &
server=$!
trap : TERM INT HUP
read -r _
# What is in it is not needed any more: no checkpoint.
kill -QUIT "$server"
wait "$server"
rm -rf "$folder"
"#;

/// A server that runs.
pub(crate) struct Server {
    folder: PathBuf,
    bin: PathBuf,
    pub(crate) port: u16,
    /// The server runs as long as the input of this process is open.
    shell: Child,
}

impl Server {
    /// The server that the tests of this program share; `None`: PostgreSQL is not installed, which is printed.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Server>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A server of one test's own, for what holds for the whole server.
    pub(crate) fn start() -> Option<Self> {
        let server = Self::begin(as_user("sh"), None)?;
        server.make_roles();
        Some(server)
    }

    /// A server of its own, with room for this size only in its folder `small`; `None`: no file system may be mounted here.
    pub(crate) fn with_little_room(size: &str) -> Option<Self> {
        let may = Command::new("unshare")
            .args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"])
            .output();
        if !is_root() || !may.is_ok_and(|output| output.status.success()) {
            println!("NOT RUN: no file system may be mounted here");
            return None;
        }
        // The folder is the third argument of what follows.
        let mount = "folder=$1; shift; mkdir \"$folder/small\" && mount -t tmpfs -o size=\"$1\",mode=0777 none \"$folder/small\" \
                     && shift && exec \"$@\"";
        let (folder, user_shell) = (folder(), as_user("sh"));
        let mut shell = Command::new("unshare");
        shell
            .args(["-m", "sh", "-c", mount, "room-for-a-test"])
            .args([folder.as_os_str(), size.as_ref(), user_shell.get_program()])
            .args(user_shell.get_args());
        let server = Self::begin_in(folder, shell, None)?;
        server.make_roles();
        Some(server)
    }

    /// A standby of this server, which follows it until it is promoted.
    pub(crate) fn standby(&self) -> Self {
        Self::begin(as_user("sh"), Some(self)).expect("the programs are those of this server")
    }

    /// Lets it accept writes from now on.
    pub(crate) fn promote(&self) {
        assert_eq!(self.psql("postgres", "SELECT pg_promote()"), "t");
    }

    fn make_roles(&self) {
        // Members of this role are asked for a password on the port.
        self.psql("postgres", "CREATE ROLE asked");
    }

    fn begin(shell: Command, primary: Option<&Self>) -> Option<Self> {
        Self::begin_in(folder(), shell, primary)
    }

    fn begin_in(folder: PathBuf, mut shell: Command, primary: Option<&Self>) -> Option<Self> {
        let Some(bin) = programs() else {
            println!("NOT RUN: PostgreSQL is not installed");
            return None;
        };
        if is_root() {
            let given = Command::new("chown").arg(user()).arg(&folder).status();
            assert!(given.unwrap().success());
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let (its_folder, its_port) = primary.map_or_else(Default::default, |primary| {
            (primary.folder.clone(), primary.port.to_string())
        });
        let shell = shell
            .args(["-c", START, "postgres-of-a-test"])
            .args([&folder, &bin])
            .arg(port.to_string())
            .arg(its_folder)
            .arg(its_port)
            .current_dir("/")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            folder,
            bin,
            port,
            shell,
        };
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        let begun = Instant::now();
        while !self.psql_status("postgres", "SELECT 1").0 {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no server: {log}"
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Sends a signal to all its processes: `STOP` is a server that hangs.
    pub(crate) fn signal(&self, signal: &str) {
        let first = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let first = first.lines().next().unwrap();
        let children = Command::new("ps")
            .args(["-o", "pid=", "--ppid", first])
            .output()
            .unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let all = std::iter::once(first).chain(children.split_whitespace());
        let done = Command::new("kill")
            .arg(format!("-{signal}"))
            .args(all)
            .status();
        assert!(done.unwrap().success());
    }

    /// A program, to be run by the user of the server.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = as_user(program);
        command.current_dir(&self.folder);
        command
    }

    /// The folder of its Unix socket, which belongs to the user of the server.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An empty database of one test's own.
    pub(crate) fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// The address of a database, by the Unix socket.
    pub(crate) fn address(&self, role: &str, database: &str) -> String {
        let folder = self.folder.display();
        format!(
            "postgres://{role}@/{database}?host={folder}&port={}",
            self.port
        )
    }

    /// The address of a database, by the port.
    pub(crate) fn tcp_address(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// What SQL answers, a line for each row, as the administrator.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let (is_good, said) = self.psql_status(database, sql);
        assert!(is_good, "{sql}: {said}");
        said
    }

    /// Changes a setting of the whole server.
    pub(crate) fn set(&self, setting: &str, value: &str) {
        self.psql(
            "postgres",
            &format!("ALTER SYSTEM SET {setting} = '{value}'"),
        );
        self.psql("postgres", "SELECT pg_reload_conf()");
        let begun = Instant::now();
        let now = || self.psql("postgres", &format!("SHOW {setting}"));
        while now().trim() != value {
            assert!(begun.elapsed() < Duration::from_secs(20), "{setting}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn psql_status(&self, database: &str, sql: &str) -> (bool, String) {
        let mut child = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args([
                "-U",
                ADMIN,
                "-d",
                database,
                "-p",
                &self.port.to_string(),
                "-f",
                "-",
            ])
            .arg("-h")
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // If psql cannot connect, it ends before it has read its input, and says why.
        let input = child.stdin.as_mut().unwrap();
        let _ = std::io::Write::write_all(input, sql.as_bytes());
        let done = child.wait_with_output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (
            done.status.success(),
            String::from_utf8_lossy(&said).trim().to_owned(),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// The newest version that is installed: Debian's folders, or where `pg_config` says.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let folders = versions.map(|entry| entry.path().join("bin"));
    let installed = folders.filter(|bin| bin.join("initdb").exists());
    installed.max().or_else(|| {
        let done = Command::new("pg_config").arg("--bindir").output().ok()?;
        let bin = PathBuf::from(String::from_utf8(done.stdout).ok()?.trim());
        bin.join("initdb").exists().then_some(bin)
    })
}

/// A new folder with a short name: the path of a Unix socket has 107 bytes at most.
fn folder() -> PathBuf {
    let made = Command::new("mktemp")
        .args(["-d", "/tmp/idshift-pg-XXXXXX"])
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The user of the server where the tests are run by root.
fn user() -> &'static str {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_user = |name: &str| {
        users
            .lines()
            .any(|line| line.split(':').next() == Some(name))
    };
    if is_user("postgres") {
        "postgres"
    } else {
        "nobody"
    }
}

fn as_user(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={}", user()), "--clear-groups", program]);
    command
}
