//! The run's copy of its file in the ledger, compressed, in pieces of a MiB, so that any machine can make its reports
//! and resume it.

use super::process_lease::Process;
use super::statement::Statement;
use crate::domain::hex;
use crate::ledger::columns::Fault;
use crate::ledger::{LedgerError, PrivateFile};
use crate::regular_file;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::path::Path;

/// The size of a piece, in bytes.
const PIECE: u64 = 1 << 20;
/// The compression level of zstd: fast, and makes a CSV five times smaller.
const LEVEL: i32 = 3;

/// Stores the file of a run that is being made. Stores nothing if there is no file.
pub(super) fn store(process: &Process, run: &str, file: &Path) -> Result<(), LedgerError> {
    let failed = |why| LedgerError::io(file, "read", why);
    let input = match regular_file::open(file) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    let mut packed = zstd::stream::read::Encoder::new(input, LEVEL).map_err(failed)?;
    for n in 0.. {
        let mut piece = Vec::new();
        (&mut packed)
            .take(PIECE)
            .read_to_end(&mut piece)
            .map_err(failed)?;
        if piece.is_empty() {
            break;
        }
        let sql = "INSERT INTO piece (run, n, bytes) VALUES ($1, $2, $3) ON CONFLICT (run, n) DO UPDATE \
                   SET bytes = EXCLUDED.bytes";
        let insert = Statement::repeatable(sql)
            .with(run.to_owned())
            .with(n)
            .with(piece);
        process.rows(insert, |_| Ok(()))?;
    }
    Ok(())
}

/// Writes the file of a run to its place on this machine; refuses a file with another digest.
pub(super) fn fetch(
    process: &Process,
    run: &str,
    digest: &str,
    to: &Path,
) -> Result<(), LedgerError> {
    let failed = |why| LedgerError::io(to, "written", why);
    let file = PrivateFile::begin(to.to_owned()).map_err(failed)?;
    let digested = Digested {
        file,
        digest: Sha256::new(),
    };
    let mut unpacked = zstd::stream::write::Decoder::new(digested).map_err(failed)?;
    let damaged = || {
        process.damaged(&Fault(
            format!("the input of run {run} was altered, or is not whole").into(),
        ))
    };
    for n in 0_i32.. {
        let sql = "SELECT bytes FROM piece WHERE run = $1 AND n = $2";
        let ask = Statement::repeatable(sql).with(run.to_owned()).with(n);
        let piece = process.rows(ask, |row| Ok(row.bytes(0)?.map(<[u8]>::to_vec)))?;
        let Some(piece) = piece.into_iter().next().flatten() else {
            break;
        };
        unpacked
            .write_all(&piece)
            .map_err(|why| match LedgerError::io(to, "written", why) {
                // The piece cannot be unpacked.
                LedgerError::Io { .. } => damaged(),
                error => error,
            })?;
    }
    unpacked.flush().map_err(failed)?;
    let Digested {
        file,
        digest: found,
    } = unpacked.into_inner();
    if hex(&found.finalize()) != digest {
        return Err(damaged());
    }
    file.finish().map_err(failed)
}

/// A file, and the digest of what was written to it.
struct Digested {
    file: PrivateFile,
    digest: Sha256,
}

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
