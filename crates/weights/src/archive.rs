//! Reads the directory of a zip archive with stored (uncompressed) entries, so that they can be read in place.
//!
//! PKWARE's APPNOTE 6.3: an end record at the end of the file has the offset of the central directory; each of its records
//! has the name of an entry and the offset of its local header, after which the bytes begin. Numbers that do not fit are
//! all ones and stored in 64 bits elsewhere: in a second end record, or in an extra field of type 1.

use std::collections::HashMap;
use std::ops::Range;

use crate::Error;
use crate::cursor::Cursor;
use crate::opened::Opened;

const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const LONGEST_COMMENT: usize = 0xffff;
/// Limits memory: a checkpoint has about 1300 entries.
const MAX_ENTRIES: u64 = 100_000;

/// The byte range of each entry.
pub(crate) fn entries(file: &Opened) -> Result<HashMap<&str, Range<usize>>, Error> {
    let (count, start) = directory(file)?;
    if count > MAX_ENTRIES {
        return Err(file.malformed(format!("its zip archive has {count} entries")));
    }
    let mut cursor = Cursor::new(file, place(file, start)?);
    let mut entries = HashMap::new();
    for _ in 0..count {
        expect(&mut cursor, b"PK\x01\x02", "an entry of the zip directory")?;
        cursor.skip(6, "an entry")?;
        let method = cursor.u16("an entry")?;
        cursor.skip(8, "an entry")?;
        let stored: u64 = cursor.u32("an entry")?.into();
        let size: u64 = cursor.u32("an entry")?.into();
        let [name, extra, comment] =
            [cursor.u16("an entry")?, cursor.u16("an entry")?, cursor.u16("an entry")?];
        cursor.skip(8, "an entry")?;
        let header: u64 = cursor.u32("an entry")?.into();
        let name = cursor.text(name.into(), "an entry's name")?;
        let mut wide = zip64_field(file, cursor.at()..cursor.at() + usize::from(extra))?;
        cursor.skip(usize::from(extra) + usize::from(comment), "an entry")?;
        let mut widen = |number: u64| match (&mut wide, number) {
            (Some(wide), 0xffff_ffff) => wide.u64("a 64-bit size"),
            _ => Ok(number),
        };
        let (size, stored, header) = (widen(size)?, widen(stored)?, widen(header)?);
        if method != 0 || size != stored {
            return Err(file.malformed(format!("{name} is compressed, which PyTorch's archives never are")));
        }
        let mut local = Cursor::new(file, place(file, header)?);
        expect(&mut local, b"PK\x03\x04", "the header of an entry")?;
        local.skip(22, "the header of an entry")?;
        let skipped = usize::from(local.u16("a header")?) + usize::from(local.u16("a header")?);
        local.skip(skipped, "the header of an entry")?;
        let start = local.at();
        local.skip(place(file, size)?, name)?;
        entries.insert(name, start..local.at());
    }
    Ok(entries)
}

/// Number of entries and offset of the central directory.
fn directory(file: &Opened) -> Result<(u64, u64), Error> {
    let tail = file.length().saturating_sub(END_BYTES + LONGEST_COMMENT);
    let end = file.part(tail..file.length())?.windows(END.len()).rposition(|window| window == END);
    let end = tail + end.ok_or_else(|| file.malformed("its zip archive has no end"))?;
    let mut cursor = Cursor::new(file, end);
    cursor.skip(10, "the end of the zip archive")?;
    let count = cursor.u16("the end of the zip archive")?;
    cursor.skip(4, "the end of the zip archive")?;
    let start = cursor.u32("the end of the zip archive")?;
    let comment = cursor.u16("the end of the zip archive")?;
    cursor.skip(comment.into(), "the end of the zip archive")?;
    if count != 0xffff && start != 0xffff_ffff {
        return Ok((count.into(), start.into()));
    }
    // The locator of the 64-bit end record is directly before the end record.
    let mut cursor = Cursor::new(file, end.saturating_sub(20));
    expect(&mut cursor, b"PK\x06\x07", "the locator of a zip directory")?;
    cursor.skip(4, "the locator of a zip directory")?;
    let record = cursor.u64("the locator of a zip directory")?;
    let mut cursor = Cursor::new(file, place(file, record)?);
    expect(&mut cursor, b"PK\x06\x06", "the 64-bit end of the zip archive")?;
    cursor.skip(28, "the 64-bit end of the zip archive")?;
    let count = cursor.u64("the 64-bit end of the zip archive")?;
    cursor.skip(8, "the 64-bit end of the zip archive")?;
    Ok((count, cursor.u64("the 64-bit end of the zip archive")?))
}

/// The field of an entry's extra data with 64-bit numbers.
fn zip64_field(file: &Opened, extra: Range<usize>) -> Result<Option<Cursor<'_>>, Error> {
    let mut cursor = Cursor::within(file, extra);
    while !cursor.is_at_end() {
        let (kind, length) = (cursor.u16("an extra field")?, cursor.u16("an extra field")?);
        let start = cursor.at();
        cursor.skip(length.into(), "an extra field")?;
        if kind == 1 {
            return Ok(Some(Cursor::within(file, start..cursor.at())));
        }
    }
    Ok(None)
}

fn expect(cursor: &mut Cursor<'_>, signature: &[u8], what: &str) -> Result<(), Error> {
    if cursor.take(signature.len(), what)? == signature {
        return Ok(());
    }
    Err(cursor.malformed(format!("{what} should be here")))
}

/// A 64-bit offset or length that this machine can address.
fn place(file: &Opened, number: u64) -> Result<usize, Error> {
    usize::try_from(number).map_err(|_| file.malformed(format!("its zip archive points to byte {number}")))
}
