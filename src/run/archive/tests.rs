//! Tests with archives that differ from what was written.

use super::*;

fn archive(path: &Path) -> String {
    let out = File::create(path).unwrap();
    let mut archive = Archive::begin(out, "20261120-223015-k3f9", 1_795_213_815_000).unwrap();
    archive.text("about.json", "{}\n").unwrap();
    archive
        .text("input.csv", "accountId,newAccountId\nA,B\n")
        .unwrap();
    archive.finish().unwrap().1
}

#[test]
fn every_flipped_bit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.tar.zst");
    let digest = archive(&path);
    assert_eq!(check(&path).unwrap().digest, digest);
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            std::fs::write(&path, &bad).unwrap();
            assert!(check(&path).is_err(), "byte {at}, bit {bit}");
        }
    }
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(matches!(check(&path), Err(Flaw::NoTrailer)));
}

/// Writes an archive of these entries with a valid trailer, so that only its content can be wrong.
fn packed(path: &Path, entries: &[(&str, &[u8])], behind: &[u8]) {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        // `set_path` would refuse a path that leads out of the folder.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    let mut bytes = tar.into_inner().unwrap();
    bytes.extend(behind);
    let mut packed = zstd::encode_all(&bytes[..], 3).unwrap();
    let digest = Sha256::digest(&packed);
    packed.extend(TRAILER);
    packed.extend(digest);
    std::fs::write(path, packed).unwrap();
}

fn unpacked(path: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = zstd::decode_all(File::open(path).unwrap()).unwrap();
    let mut tar = tar::Archive::new(&bytes[..]);
    let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), content)
    };
    tar.entries().unwrap().map(read).collect()
}

#[test]
fn an_archive_that_was_packed_again_with_a_change_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.tar.zst");
    archive(&path);
    let good = unpacked(&path);
    let pack = |entries: &[(String, Vec<u8>)], behind: &[u8]| {
        let entries: Vec<(&str, &[u8])> = entries
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice()))
            .collect();
        packed(&path, &entries, behind);
        check(&path)
    };
    assert!(pack(&good, &[]).is_ok(), "packing alone changes nothing");
    for (at, (name, content)) in good.iter().enumerate() {
        for byte in 0..content.len() {
            let mut bad = good.clone();
            bad[at].1[byte] ^= 1;
            assert!(pack(&bad, &[]).is_err(), "{name}, byte {byte}");
        }
        let mut without = good.clone();
        without.remove(at);
        assert!(pack(&without, &[]).is_err(), "without {name}");
        let mut more = good.clone();
        more.insert(at, ("20261120-223015-k3f9/more".into(), b"x".to_vec()));
        assert!(pack(&more, &[]).is_err(), "one more before {name}");
        for place in ["../", "/", "../../etc/", "other/", ""] {
            let mut moved = good.clone();
            let base = name.rsplit('/').next().unwrap();
            moved[at].0 = format!("{place}{base}");
            let why = pack(&moved, &[]).unwrap_err();
            assert!(matches!(why, Flaw::Stray { .. }), "{place}{base}: {why}");
        }
    }
    let mut exchanged = good.clone();
    exchanged.swap(0, 1);
    assert!(pack(&exchanged, &[]).is_err());
    assert!(matches!(pack(&good, b"more"), Err(Flaw::Rest)));
}

#[test]
fn the_last_digest_depends_on_the_run_and_on_every_entry() {
    let sealed = |run: &str, content: &str| {
        let sha256 = hex(&Sha256::digest(content));
        chained(&chained(&chain_begin(run), "a", &sha256), "b", &sha256)
    };
    assert_ne!(sealed("r", "x"), sealed("r", "y"));
    assert_ne!(sealed("r", "x"), sealed("s", "x"));
}

#[test]
fn manifest_with_different_content_is_detected() {
    let manifest = Manifest {
        format: 1,
        run: "r".to_owned(),
        entries: vec![Sealed {
            name: "a".to_owned(),
            bytes: 1,
            sha256: "s".to_owned(),
            chain: chained(&chain_begin("r"), "a", "s"),
        }],
        digest: chained(&chain_begin("r"), "a", "s"),
    };
    let there = |name: &str, sha256: &str| vec![(name.to_owned(), 1, sha256.to_owned())];
    assert!(compare(&manifest, &there("a", "s")).is_ok());
    let is = |found: Result<(), Flaw>| found.unwrap_err().to_string();
    assert!(is(compare(&manifest, &there("a", "t"))).contains("`a`"));
    assert!(is(compare(&manifest, &there("b", "s"))).contains("`b`"));
    assert!(is(compare(&manifest, &[])).contains("nothing"));
    let other = Manifest {
        digest: "d".to_owned(),
        ..manifest
    };
    assert!(is(compare(&other, &there("a", "s"))).contains("chain"));
}
