//! Several processes on one run: killed, frozen for longer than their lease, ended by faults, and joined by others.
//! Each unit belongs to one process; what a former process of the unit notes is dropped, as in a shared ledger.

mod ledger;

use super::super::memory::Waves;
use super::super::world::{Frozen, LONGEST_WAY, World};
use super::Simulation;
use crate::domain::Line;
use crate::engine::{
    self, Concurrency, Context, Drain, Ending, History, Lookup, Mode, Settings, Tally, UnitTask,
};
use crate::ledger::{Chunk, Lease, LineSet};
use crate::plan::Unit;
use crate::system::{System, SystemKind};
use ledger::{Held, Ledger, Log, Place, Process, Shared};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(15);
/// How long a call that was begun may take.
const GRACE: Duration = Duration::from_millis(LONGEST_WAY);
/// After this time no faults occur any more.
const TROUBLED: Duration = Duration::from_secs(120);
const MOST_PROCESSES: usize = 4;
/// Maximum number of units that a process has at the same time.
const MOST_OPEN: usize = 3;

/// Hands over units until no process has any left, or the engine takes no more.
async fn feed(log: &Log, tasks: mpsc::Sender<Vec<UnitTask>>) {
    let mut open: Vec<Arc<Chunk>> = Vec::new();
    loop {
        log.frozen.over().await;
        let next = {
            let mut shared = log.ledger.lock();
            let ended: Vec<_> = open.extract_if(.., |chunk| chunk.has_ended()).collect();
            shared.commit(log.process);
            for chunk in ended {
                if shared.has(log.process, chunk.unit()) {
                    shared.units.get_mut(&chunk.unit().0).unwrap().place = Place::Done(log.process);
                }
            }
            open.retain(|chunk| shared.has(log.process, chunk.unit()));
            if shared.is_over() || tasks.is_closed() {
                return;
            }
            let has_room = open.len() < MOST_OPEN;
            let chunk = has_room.then(|| shared.claim(log.process)).flatten();
            chunk.and_then(|chunk| {
                let task = shared.task(&chunk);
                if task.is_none() {
                    let unit = chunk.unit().0;
                    shared.units.get_mut(&unit).unwrap().place = Place::Done(log.process);
                }
                Some((chunk, task?))
            })
        };
        if let Some((chunk, task)) = next {
            chunk.hand_over(1);
            chunk.end_hand_over();
            open.push(chunk);
            if tasks.send(vec![task]).await.is_err() {
                return;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn process(log: Log, system: System, settings: Settings) -> Ending {
    let (events, _) = broadcast::channel(64);
    let tally = Arc::new(Tally::default());
    let context = Context::new(Arc::new(system), log.clone(), settings, tally, events);
    let (tasks, inbox) = mpsc::channel(4);
    let record = Waves {
        notes: log.ledger.lock().notes.clone(),
        units: LineSet::default(),
    };
    let stop = CancellationToken::new();
    let running = engine::run(Arc::new(context), inbox, &record, stop);
    let (ending, ()) = tokio::join!(running, feed(&log, tasks));
    let mut shared = log.ledger.lock();
    for held in shared.units.values_mut() {
        if held.place == Place::Of(log.process) {
            held.place = Place::Free;
        }
    }
    ending
}

/// The processes of one run.
struct Run {
    ledger: Ledger,
    world: World,
    settings: Settings,
    /// The running processes, by number.
    living: Vec<(usize, JoinSet<Ending>)>,
}

impl Run {
    fn start(&mut self) {
        let frozen = Frozen::default();
        let number = {
            let mut shared = self.ledger.lock();
            shared.processes.push(Process {
                frozen: frozen.clone(),
                lease: Lease::held(),
                ..Process::default()
            });
            shared.processes.len() - 1
        };
        let system = System::simulated(SystemKind::Plume, Box::new(self.world.called_by(&frozen)));
        let log = Log {
            ledger: self.ledger.clone(),
            process: number,
            unit: None,
            frozen,
        };
        let mut running = JoinSet::new();
        running.spawn(process(log, system, self.settings.clone()));
        self.living.push((number, running));
    }

    /// Kills a process at any point; what it had not committed is lost.
    async fn kill(&mut self, at: usize) {
        let (number, mut running) = self.living.swap_remove(at);
        running.shutdown().await;
        // The runtime drops its tasks only at its next turn.
        sleep(Duration::from_millis(1)).await;
        let mut shared = self.ledger.lock();
        let process = &mut shared.processes[number];
        process.waiting.clear();
        process.has_left = true;
        process.silent_since = Some(Instant::now());
    }

    fn freeze(&mut self, at: usize, time: Duration) {
        let (number, _) = self.living[at];
        let mut shared = self.ledger.lock();
        let process = &mut shared.processes[number];
        if !process.frozen.is_over() {
            return;
        }
        process.frozen.freeze(time);
        process.silent_since = Some(Instant::now());
        if time > LEASE {
            // The process sends nothing before it is thawed.
            process.lease.end();
            process.lease = Lease::held();
        }
    }

    fn remove_ended(&mut self) {
        self.living.retain_mut(|(_, running)| {
            let Some(ending) = running.try_join_next() else {
                return true;
            };
            let ending = ending.unwrap();
            let is_good = !matches!(ending, Ending::Bug(_) | Ending::Ledger(_));
            assert!(is_good, "{ending:?}");
            false
        });
    }
}

impl Simulation {
    fn several(&mut self) -> Run {
        let plan: BTreeMap<Line, Unit> = self
            .units
            .iter()
            .map(|unit| (unit.number, unit.clone()))
            .collect();
        let free = |unit: &Line| {
            let (place, lease) = (Place::Free, 0);
            (*unit, Held { place, lease })
        };
        let shared = Shared {
            notes: self.notes.clone(),
            units: plan.keys().map(free).collect(),
            plan,
            processes: Vec::new(),
            pauses: self.pauses,
            random: self.random.fork(),
        };
        Run {
            ledger: Ledger(Arc::new(Mutex::new(shared))),
            world: self.world.clone(),
            settings: Settings {
                drain: Drain::default(),
                run: "20261120-223015-k3f9".to_owned(),
                mode: Mode::Apply,
                lookup: Lookup::Each,
                concurrency: Concurrency::Fixed(self.concurrency),
                max_age: self.max_age,
                give_up_after: Duration::from_secs(900),
                retries: 2,
                fence: None,
                max_failures: None,
                known_failures: Arc::default(),
                is_of_failures: false,
                must_find: true,
                wave_count: 0,
                waves: Arc::default(),
                wave_failures: None,
                until: None,
                alias_conflicts: None,
                given: HashMap::new(),
                undoes: None,
                history: Arc::new(History::default()),
            },
            living: Vec::new(),
        }
    }

    async fn run_by_several(mut self) {
        (self.calm, self.meddled) = (false, false);
        self.world.lock().trouble = [0, 3, 10][self.random.usize(0..3)];
        let begun = Instant::now();
        let mut run = self.several();
        // After a pass that ends with writes in doubt comes the pass of `resume`.
        while run.ledger.lock().open_again() {
            self.pass_of_several(&mut run, begun).await;
        }
        self.judge();
    }

    async fn pass_of_several(&mut self, run: &mut Run, begun: Instant) {
        while !run.ledger.lock().is_over() {
            assert!(begun.elapsed() < 20 * TROUBLED, "it never ends");
            let is_troubled = begun.elapsed() < TROUBLED;
            if !is_troubled {
                self.world.lock().trouble = 0;
            }
            run.remove_ended();
            let living = run.living.len();
            match self.random.u8(0..10) {
                _ if living == 0 => run.start(),
                0..3 if living < MOST_PROCESSES => run.start(),
                3 if is_troubled => run.kill(self.random.usize(0..living)).await,
                4..6 if is_troubled => {
                    let time = Duration::from_millis(self.random.u64(1..40_000));
                    run.freeze(self.random.usize(0..living), time);
                }
                _ => {}
            }
            let ms = self.random.u64(1..1_500);
            sleep(Duration::from_millis(ms)).await;
        }
        // The processes that were frozen find that no unit is left.
        while !run.living.is_empty() {
            sleep(Duration::from_secs(1)).await;
            run.remove_ended();
        }
    }
}

fn simulate(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(Simulation::new(seed).run_by_several());
}

#[test]
fn promises_hold_when_processes_are_killed_or_frozen() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(seed) = number("IDSHIFT_SEED") {
        simulate(seed);
        return;
    }
    for seed in 0..number("IDSHIFT_SEEDS").unwrap_or(1_500) {
        if let Err(panic) = std::panic::catch_unwind(|| simulate(seed)) {
            println!("once more with IDSHIFT_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
