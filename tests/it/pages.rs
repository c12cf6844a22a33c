//! README and `docs/`: the command of the README works as the README says, and all links have a target.

use crate::support::{Place, finish};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the documents that link to each other.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    pages
        .chain(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)))
        .collect()
}

/// Returns the anchors of a page's headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let headings = text.lines().filter_map(|line| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.trim().to_lowercase())
    });
    let name = |heading: String| {
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(name).collect()
}

#[test]
fn links_between_documents_have_existing_targets() {
    let (mut wrong, mut links) = (Vec::new(), 0);
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            if link.contains("://") || link.contains(['`', ' ']) {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(file)
            };
            let is_right =
                target.exists() && (anchor.is_empty() || anchors(&target).contains(anchor));
            if !is_right {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links > 40, "{links}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn readme_command_produces_a_report() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1);
    let commands: Vec<&str> = blocks
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(|line| line.starts_with("cargo "))
        .collect();
    let [apply, "cargo test"] = commands[..] else {
        panic!("two commands do everything: {commands:?}");
    };
    let words = apply.strip_prefix("cargo run --release -- ").unwrap();
    let sample = root().join("samples").display().to_string();
    let words = words.replace("samples", &sample);
    let words: Vec<&str> = words.split(' ').collect();
    let place = Place::plume();
    let mut idshift = place.command(&words);
    // No settings are in the environment, as after a clone.
    for name in ["TOKEN", "BASE_URL", "SYSTEM", "RATE", "TIMEOUT"] {
        idshift.env_remove(format!("IDSHIFT_{name}"));
    }
    let done = finish(idshift.spawn().unwrap()).expect(0);
    let report = std::fs::read_to_string(place.newest().join("report.html")).unwrap();
    assert!(report.contains("CRM-0001"), "{report}");
    assert!(done.out.contains("report.html"), "{}", done.out);
    let lines = place.rows("results.csv").len();
    assert!(
        readme.contains(&format!("the {lines} lines of a sample")),
        "{lines}"
    );
}
