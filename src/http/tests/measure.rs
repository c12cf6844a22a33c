//! Measurements in real time, run by hand: `cargo test --release --lib measure -- --ignored --nocapture`.

use super::server::{Server, ok};
use super::*;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// A server on its own thread.
struct Far {
    server: Arc<Server>,
    end: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Far {
    fn drop(&mut self) {
        self.end.cancel();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn far() -> Far {
    let end = CancellationToken::new();
    let stop = end.clone();
    let (ready, started) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            ready.send(Arc::new(Server::start(|_| ok()).await)).unwrap();
            stop.cancelled().await;
        });
    });
    Far {
        server: started.recv().unwrap(),
        end,
        thread: Some(thread),
    }
}

fn run(client: &Arc<Client>, workers: usize, seconds: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    runtime.block_on(async {
        let mut set = JoinSet::new();
        for worker in 0..workers {
            let client = client.clone();
            set.spawn(async move {
                let call = get(&format!("customer-{worker}"));
                while Instant::now() < end {
                    client.read(&call, parse).await.unwrap();
                }
            });
        }
        set.join_all().await;
    });
}

#[test]
#[ignore = "takes real time and a quiet machine"]
fn measure_pacing() {
    for (rate, workers) in [(20.0, 8), (100.0, 16), (1000.0, 64), (5000.0, 128)] {
        let far = far();
        let mut settings = settings(&far.server);
        settings.find_rate = Rate::PerSecond(rate);
        let client =
            Arc::new(Client::new(settings, character(), CancellationToken::new()).unwrap());
        run(&client, workers, 4);
        let mut at: Vec<_> = far.server.seen().iter().map(|seen| seen.at).collect();
        at.sort_unstable();
        let mut first = 0;
        let mut most = 0;
        for index in 0..at.len() {
            while at[index] - at[first] >= Duration::from_secs(1) {
                first += 1;
            }
            most = most.max(index - first + 1);
        }
        let over = at[at.len() - 1] - at[0];
        let reached = f64::from(u32::try_from(at.len() - 1).unwrap()) / over.as_secs_f64();
        println!(
            "{rate}/s: reached {:.2} %, most in a sliding second {most}, latency {:?} ms",
            reached / rate * 100.0,
            client.latency_ms()
        );
    }
}

#[test]
#[ignore = "takes real time and a quiet machine"]
fn measure_full_speed() {
    for workers in [16, 32, 64] {
        let far = far();
        let client = Arc::new(client_without_ids(&far.server));
        let before = cpu();
        run(&client, workers, 3);
        let cpu = cpu() - before;
        let achieved = client.achieved();
        println!(
            "{workers} workers: {:.0} calls/s, {:.1} us of CPU a call (both sides)",
            achieved.per_second,
            cpu / f64::from(u32::try_from(achieved.calls).unwrap()) * 1e6
        );
    }
}

fn client_without_ids(server: &Server) -> Client {
    let mut character = character();
    character.request_id_header = None;
    character.correlation_header = None;
    Client::new(settings(server), character, CancellationToken::new()).unwrap()
}

/// Seconds of CPU time of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<f64> = stat
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .filter_map(|field| field.parse().ok())
        .collect();
    // utime and stime, in hundredths; `state` before them is no number.
    (fields[10] + fields[11]) / 100.0
}
