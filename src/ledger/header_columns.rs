//! What a run was asked to do, as the columns of the table `run`.

use super::checksum;
use super::columns::{Fault, Row, Value};
use super::{Header, RunKind};

/// All of them, with the checksum over the others last.
pub(super) const COLUMNS: &str = "run, kind, system, base_url, tenant, target, input_name, input_sha256, origins, settings, user, \
     host, zone, tool_version, parent, lines, created_at_ms, epoch, checksum";

/// The values of all columns but the checksum; the origins come as one text, a line each.
pub(super) fn values<'a>(header: &'a Header, origins: &'a str) -> [Value<'a>; 18] {
    [
        header.run.as_str().into(),
        header.kind.as_str().into(),
        header.system.as_str().into(),
        header.base_url.as_str().into(),
        header.tenant.as_str().into(),
        header.target.as_str().into(),
        header.input_name.as_str().into(),
        header.input_sha256.as_str().into(),
        origins.into(),
        header.settings.as_str().into(),
        header.user.as_str().into(),
        header.host.as_str().into(),
        header.zone.as_str().into(),
        header.tool_version.as_str().into(),
        header.parent.as_deref().into(),
        header.lines.cast_signed().into(),
        header.created_at_ms.into(),
        header.epoch.cast_signed().into(),
    ]
}

/// Reads a row of [`COLUMNS`]; refuses a row that does not match its checksum.
pub(super) fn read(row: &impl Row) -> Result<Header, Fault> {
    let altered = || Fault::from("the header of the run was altered");
    let text = |at| row.word(at).map(str::to_owned);
    let origins = row.word(8)?;
    let header = Header {
        run: text(0)?,
        kind: RunKind::parse(row.word(1)?).ok_or_else(altered)?,
        system: text(2)?,
        base_url: text(3)?,
        tenant: text(4)?,
        target: text(5)?,
        input_name: text(6)?,
        input_sha256: text(7)?,
        origins: origins.lines().map(str::to_owned).collect(),
        settings: text(9)?,
        user: text(10)?,
        host: text(11)?,
        zone: text(12)?,
        tool_version: text(13)?,
        parent: row.text(14)?.map(str::to_owned),
        lines: row.required::<i64>(15)?.cast_unsigned(),
        created_at_ms: row.required(16)?,
        epoch: row.required::<i64>(17)?.cast_unsigned(),
    };
    // The checksum covers the recorded text: a path may contain a line break, so the joined paths could differ from that text.
    if checksum::of(&values(&header, origins)) == row.required::<i64>(18)? {
        Ok(header)
    } else {
        Err(altered())
    }
}
