use super::{answers, plan, reader};
use std::path::Path;

/// Returns every file in the corpus of a target: what was found earlier, and good starting inputs.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Changes a few bytes, or inserts, removes or doubles words.
fn mutate(bytes: &mut Vec<u8>, words: &[&str], random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        let to = random.usize(at..=bytes.len()).min(at + 40);
        match random.u8(..6) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let word = random.choice(words).unwrap();
                bytes.splice(at..if random.bool() { to } else { at }, word.bytes());
            }
        }
    }
}

/// Runs the target on its corpus and on random inputs. `IDSHIFT_FUZZ=1000000` sets the number of random inputs.
fn throw(target: &str, times: u64, words: &[&str], at: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let kept = kept(target);
    assert!(kept.len() >= 3, "the corpus of {target} is missing");
    for bytes in &kept {
        at(bytes);
    }
    let times = std::env::var("IDSHIFT_FUZZ").map_or(times, |text| text.parse().unwrap());
    for seed in 0..times {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = random.choice(&kept).unwrap().clone();
        mutate(&mut bytes, words, &mut random);
        if let Err(panic) = std::panic::catch_unwind(|| at(&bytes)) {
            let path = std::env::temp_dir().join(format!("idshift-{target}-{seed}"));
            std::fs::write(&path, &bytes).unwrap();
            println!(
                "{} breaks it: {:?}",
                path.display(),
                String::from_utf8_lossy(&bytes)
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn random_files_lose_no_row_and_invent_no_id() {
    let words = [
        "accountId",
        "newAccountId",
        "customerId",
        "\"",
        "\"\"",
        ",",
        ";",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\u{feff}",
        "\0",
        "sep=;\n",
        "A-1",
        "1.2E+11",
        "'",
        "=",
        "\u{a0}",
        "\u{200b}",
        "\u{202e}",
        "#N/A",
        "\u{1f}\u{8b}",
        "idshift_status",
    ];
    throw("reader", 4000, &words, reader);
}

#[test]
fn plan_of_random_lines_contains_each_once_in_a_valid_order() {
    throw("plan", 20_000, &["abc", "\0\0\0", "\u{1}\u{2}\u{3}"], plan);
}

#[test]
fn random_answers_yield_no_value_that_they_do_not_contain() {
    let words = [
        "\"C-1\"",
        "\"A-1\"",
        "\"B-1\"",
        "\"S-1\"",
        "\"L-1\"",
        "\"id\":",
        "\"accountId\":",
        "\"externalReferenceId\":",
        "\"internalIdentifier\":",
        "\"customerId\":",
        "null",
        "true",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"a-1\"",
        "\"A-1 \"",
        "\"A-10\"",
        "1",
        "1e400",
        "\"\\u0041-1\"",
        "{\"error\":",
        "\"isDeleted\":true,",
    ];
    throw("answers", 4000, &words, answers);
}
