//! Writes and verifies evidence archives. Verification needs only the archive file.
//!
//! An archive is a tar file, compressed with zstd. Its last entry, `manifest.json`, lists every entry with its SHA-256 and
//! a chained digest. Each chained digest covers the previous one, so changing, removing or moving an entry changes the last
//! digest. After the compressed data, a frame that decompressors skip holds the SHA-256 of everything before it, so that
//! every flipped bit is detected.

use super::hashing::Hashing;
use crate::domain::hex;
use crate::regular_file;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The name of the last entry.
const MANIFEST: &str = "manifest.json";
/// The beginning of a frame that decompressors skip: its magic number, and the length of its content (32 bytes).
const TRAILER: [u8; 8] = [0x5e, 0x2a, 0x4d, 0x18, 32, 0, 0, 0];
/// Length of the whole frame in bytes.
const TRAILER_BYTES: u64 = 40;
/// Size in bytes of the largest manifest that is read.
const MANIFEST_BYTES: u64 = 1 << 20;

/// Returns the start value of the digest chain: the archive format and the run ID.
fn chain_begin(run: &str) -> String {
    format!("idshift evidence 1\n{run}")
}

/// One entry of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// SHA-256 of the previous chained digest, `name` and `sha256`.
    pub(super) chain: String,
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: u8,
    pub(super) run: String,
    pub(super) entries: Vec<Sealed>,
    /// The digest of the whole archive: `chain` of the last entry.
    pub(super) digest: String,
}

impl Manifest {
    fn text(&self) -> io::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// Why an archive differs from what was written, or cannot be verified.
#[derive(Debug, thiserror::Error)]
pub(super) enum Flaw {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is not an evidence archive, or it is truncated.
    #[error(
        "it does not end like an evidence archive: it is another kind of file, or it was cut off"
    )]
    NoTrailer,
    /// Its bytes have changed.
    #[error(
        "its bytes are not those that were written: their SHA-256 is {found}, and {stored} is stored at its end"
    )]
    Bytes { found: String, stored: String },
    /// It cannot be unpacked.
    #[error("it cannot be unpacked: {0}")]
    Unpack(io::Error),
    /// An entry is not a plain file in the folder of the run, so this program did not write it.
    #[error("the entry `{path}` is not a file in the folder of the run")]
    Stray { path: String },
    /// There is data after the last entry.
    #[error("there is data after the last entry")]
    Rest,
    /// There is no manifest, or it is not the last entry.
    #[error("it has no readable {MANIFEST} as its last entry")]
    NoManifest,
    /// The entries are not those of the manifest.
    #[error("entry {number} is `{found}`, and the manifest has `{stored}` there")]
    Entries {
        number: usize,
        found: String,
        stored: String,
    },
    /// An entry has changed.
    #[error(
        "the entry `{name}` is not what the manifest says: its SHA-256 is {found}, and should be {stored}"
    )]
    Entry {
        name: String,
        found: String,
        stored: String,
    },
    /// The manifest has changed.
    #[error("the chain of digests is broken at `{name}`")]
    Chain { name: String },
}

fn chained(before: &str, name: &str, sha256: &str) -> String {
    hex(&Sha256::digest(format!("{before}\n{name}\n{sha256}")))
}

/// An archive that is being written.
pub(super) struct Archive<W: Write> {
    tar: tar::Builder<zstd::Encoder<'static, Hashing<W>>>,
    manifest: Manifest,
    written_at_s: u64,
}

impl<W: Write> Archive<W> {
    pub(super) fn begin(out: W, run: &str, written_at_ms: i64) -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(Hashing::of(out), 3)?;
        encoder.include_checksum(true)?;
        Ok(Self {
            tar: tar::Builder::new(encoder),
            manifest: Manifest {
                format: 1,
                run: run.to_owned(),
                entries: Vec::new(),
                digest: chain_begin(run),
            },
            written_at_s: u64::try_from(written_at_ms / 1000).unwrap_or(0),
        })
    }

    /// Adds a file; returns its size.
    pub(super) fn file(&mut self, name: &str, file: File) -> io::Result<u64> {
        let bytes = file.metadata()?.len();
        self.entry(name, bytes, file)?;
        Ok(bytes)
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.entry(name, text.len() as u64, text.as_bytes())
    }

    fn entry(&mut self, name: &str, bytes: u64, content: impl Read) -> io::Result<()> {
        let mut content = Hashing::of(content.take(bytes));
        self.append(name, bytes, &mut content)?;
        if content.bytes != bytes {
            return Err(io::Error::other(format!("{name} became shorter meanwhile")));
        }
        let sha256 = content.digest();
        let chain = chained(&self.manifest.digest, name, &sha256);
        self.manifest.digest.clone_from(&chain);
        self.manifest.entries.push(Sealed {
            name: name.to_owned(),
            bytes,
            sha256,
            chain,
        });
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: u64, content: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(self.written_at_s);
        let path = format!("{}/{name}", self.manifest.run);
        self.tar.append_data(&mut header, path, content)
    }

    /// Completes the archive; returns the writer and the digest of the whole archive.
    pub(super) fn finish(mut self) -> io::Result<(W, String)> {
        let text = self.manifest.text()?;
        self.append(MANIFEST, text.len() as u64, text.as_bytes())?;
        let hashing = self.tar.into_inner()?.finish()?;
        let digest = hashing.sha256.finalize();
        let mut out = hashing.inner;
        out.write_all(&TRAILER)?;
        out.write_all(&digest)?;
        Ok((out, self.manifest.digest))
    }
}

/// Verifies an archive; returns its manifest.
pub(super) fn check(path: &Path) -> Result<Manifest, Flaw> {
    let mut file = regular_file::open(path).map_err(Flaw::Unreadable)?;
    let packed = check_bytes(&mut file)?;
    file.rewind().map_err(Flaw::Unreadable)?;
    let decoder = zstd::Decoder::new(file.take(packed)).map_err(Flaw::Unpack)?;
    let mut tar = tar::Archive::new(decoder);
    let mut found: Vec<(String, u64, String)> = Vec::new();
    let mut manifest = None;
    let mut folder = None;
    for entry in tar.entries().map_err(Flaw::Unpack)? {
        if manifest.is_some() {
            return Err(Flaw::Rest);
        }
        let entry = entry.map_err(Flaw::Unpack)?;
        let (of, name) = place(&entry)?;
        if *folder.get_or_insert_with(|| of.clone()) != of {
            let path = format!("{of}/{name}");
            return Err(Flaw::Stray { path });
        }
        if name == MANIFEST {
            let mut text = String::new();
            let mut entry = entry.take(MANIFEST_BYTES);
            entry.read_to_string(&mut text).map_err(Flaw::Unpack)?;
            manifest = Some(read_manifest(&text)?);
            continue;
        }
        let mut content = Hashing::of(entry);
        io::copy(&mut content, &mut io::sink()).map_err(Flaw::Unpack)?;
        found.push((name, content.bytes, content.digest()));
    }
    let manifest: Manifest = manifest.ok_or(Flaw::NoManifest)?;
    nothing_but_zeros(tar.into_inner())?;
    if folder.as_ref() != Some(&manifest.run) {
        let path = folder.unwrap_or_default();
        return Err(Flaw::Stray { path });
    }
    compare(&manifest, &found)?;
    Ok(manifest)
}

/// Parses the manifest. Refuses a text that differs from what this program would write.
fn read_manifest(text: &str) -> Result<Manifest, Flaw> {
    let manifest: Manifest = serde_json::from_str(text).map_err(|_| Flaw::NoManifest)?;
    let is_ours = manifest.format == 1 && manifest.text().is_ok_and(|ours| ours == text);
    if is_ours {
        Ok(manifest)
    } else {
        Err(Flaw::NoManifest)
    }
}

/// Returns folder and name of an entry. Refuses all but plain files in a folder: unpacking must not write elsewhere.
fn place(entry: &tar::Entry<'_, impl Read>) -> Result<(String, String), Flaw> {
    let path = entry.path_bytes();
    let path = String::from_utf8_lossy(&path);
    let stray = || Flaw::Stray {
        path: path.to_string(),
    };
    let (folder, name) = path.split_once('/').ok_or_else(stray)?;
    let is_plain = |part: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        !part.starts_with('.') && !part.is_empty() && part.chars().all(good)
    };
    if entry.header().entry_type().is_file() && is_plain(folder) && is_plain(name) {
        Ok((folder.to_owned(), name.to_owned()))
    } else {
        Err(stray())
    }
}

/// Refuses anything but zeros after the last entry: an entry behind the zeros that end a tar archive would be skipped.
fn nothing_but_zeros(mut rest: impl Read) -> Result<(), Flaw> {
    let mut buffer = [0; 8192];
    loop {
        let read = rest.read(&mut buffer).map_err(Flaw::Unpack)?;
        if read == 0 {
            return Ok(());
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            return Err(Flaw::Rest);
        }
    }
}

/// Compares the SHA-256 at the end of the file with the data before it; returns the length of the compressed data.
fn check_bytes(file: &mut File) -> Result<u64, Flaw> {
    let length = file.metadata().map_err(Flaw::Unreadable)?.len();
    let packed = length.checked_sub(TRAILER_BYTES).ok_or(Flaw::NoTrailer)?;
    let mut before = Hashing::of(Read::by_ref(file).take(packed));
    io::copy(&mut before, &mut io::sink()).map_err(Flaw::Unreadable)?;
    let found = before.digest();
    file.seek(SeekFrom::Start(packed))
        .map_err(Flaw::Unreadable)?;
    let mut trailer = Vec::new();
    file.read_to_end(&mut trailer).map_err(Flaw::Unreadable)?;
    let stored = trailer.strip_prefix(&TRAILER).ok_or(Flaw::NoTrailer)?;
    let stored = hex(stored);
    if stored == found {
        Ok(packed)
    } else {
        Err(Flaw::Bytes { found, stored })
    }
}

fn compare(manifest: &Manifest, found: &[(String, u64, String)]) -> Result<(), Flaw> {
    let most = manifest.entries.len().max(found.len());
    let mut chain = chain_begin(&manifest.run);
    for at in 0..most {
        let stored = manifest.entries.get(at);
        let there = found.get(at);
        let names = (
            there.map_or("nothing", |(name, ..)| name.as_str()),
            stored.map_or("nothing", |entry| entry.name.as_str()),
        );
        let (Some(stored), Some((name, bytes, sha256))) = (stored, there) else {
            return Err(Flaw::Entries {
                number: at + 1,
                found: names.0.to_owned(),
                stored: names.1.to_owned(),
            });
        };
        if *name != stored.name {
            return Err(Flaw::Entries {
                number: at + 1,
                found: name.clone(),
                stored: stored.name.clone(),
            });
        }
        if *sha256 != stored.sha256 || *bytes != stored.bytes {
            return Err(Flaw::Entry {
                name: name.clone(),
                found: sha256.clone(),
                stored: stored.sha256.clone(),
            });
        }
        chain = chained(&chain, name, sha256);
        if chain != stored.chain {
            return Err(Flaw::Chain { name: name.clone() });
        }
    }
    if chain != manifest.digest {
        return Err(Flaw::Chain {
            name: MANIFEST.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
