//! The digest of a file, computed while the file is read or written.

use crate::domain::hex;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// A reader or writer that computes the SHA-256 of the bytes that pass through it.
pub(super) struct Hashing<T> {
    pub(super) inner: T,
    pub(super) sha256: Sha256,
    /// Number of bytes that have passed.
    pub(super) bytes: u64,
}

impl<T> Hashing<T> {
    pub(super) fn of(inner: T) -> Self {
        Self {
            inner,
            sha256: Sha256::new(),
            bytes: 0,
        }
    }

    pub(super) fn digest(&self) -> String {
        hex(&self.sha256.clone().finalize())
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.pass(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.pass(&buffer[..read]);
        Ok(read)
    }
}
