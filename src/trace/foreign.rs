//! Files that are not read, by name: what they are, told by their first bytes or else by the end of their name, and
//! what to do with them.

/// A format by the bytes that stand at a place.
struct Magic {
    at: usize,
    bytes: &'static [u8],
    is: &'static str,
    to_do: &'static str,
}

const fn magic(at: usize, bytes: &'static [u8], is: &'static str, to_do: &'static str) -> Magic {
    Magic { at, bytes, is, to_do }
}

const UNPACK: &str = "unpack it and name the trace inside, or its directory";
const NSYS: &str =
    "it holds no events of torch's profiler; record with vLLM's torch profiler, or open it in Nsight";
const PICKLE: &str = "it holds allocations and no steps; open it at https://docs.pytorch.org/memory_viz";
const LEFT: &str = "name the profiler's *.pt.trace.json[.gz] instead";

const MAGICS: &[Magic] = &[
    magic(0, b"PK\x03\x04", "a zip archive", UNPACK),
    magic(0, b"PK\x05\x06", "an empty zip archive", LEFT),
    magic(257, b"ustar", "a tar archive", UNPACK),
    magic(
        0,
        b"BZh",
        "compressed by bzip2",
        "unpack it: bunzip2 FILE, or pipe it: bunzip2 -c FILE | tracegate inspect -",
    ),
    magic(
        0,
        b"\xfd7zXZ\0",
        "compressed by xz",
        "unpack it: unxz FILE, or pipe it: xz -dc FILE | tracegate inspect -",
    ),
    magic(0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    magic(
        0,
        b"\x04\x22\x4d\x18",
        "compressed by lz4",
        "unpack it: lz4 -d FILE, or pipe it: lz4 -dc FILE | tracegate inspect -",
    ),
    magic(0, b"SQLite format 3\0", "an SQLite database, such as Nsight Systems exports", NSYS),
    magic(0, b"NVR\0", "a report of Nsight Compute", NSYS),
    magic(0, b"PAR1", "a Parquet table", LEFT),
    magic(0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", LEFT),
    magic(0, b"\x7fELF", "a program or library (ELF)", LEFT),
    magic(0, b"%PDF", "a PDF", LEFT),
    magic(0, b"\x89PNG", "a picture (PNG)", LEFT),
    magic(
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS, not the file itself",
        "fetch the file: git lfs pull",
    ),
    magic(
        0,
        b"<",
        "markup (HTML or XML), such as the page of a login or an error",
        "download the file itself",
    ),
    magic(0, b"\xff\xfe", "text in UTF-16", TO_UTF8),
    magic(0, b"\xfe\xff", "text in UTF-16", TO_UTF8),
    magic(0, b"{\0", "text in UTF-16", TO_UTF8),
    magic(0, b"[\0", "text in UTF-16", TO_UTF8),
    magic(0, b"\0{", "text in UTF-16", TO_UTF8),
    magic(0, b"\0[", "text in UTF-16", TO_UTF8),
];

const TO_UTF8: &str = "convert it: iconv -f UTF-16 -t UTF-8 FILE | tracegate inspect -";
const PERFETTO: (&str, &str) = (
    "a trace in Perfetto's protobuf form",
    "name the profiler's JSON that it was made from; ui.perfetto.dev opens this one",
);
const XPLANE: (&str, &str) =
    ("an XPlane profile of XLA (protobuf)", "it holds no steps of a server; open it in TensorBoard or XProf");

/// Ends of names whose content has no bytes that tell it.
const NAMES: &[(&str, &str, &str)] = &[
    (".hltv", "a trace of Gaudi's hardware in Habana's own form", "open it at https://perfetto.habana.ai"),
    (".nsys-rep", "a report of Nsight Systems", NSYS),
    (".qdrep", "a report of Nsight Systems", NSYS),
    (".pftrace", PERFETTO.0, PERFETTO.1),
    (".perfetto-trace", PERFETTO.0, PERFETTO.1),
    (".pb", XPLANE.0, XPLANE.1),
    (".pickle", "a pickle, such as torch's snapshot of memory", PICKLE),
    (".pkl", "a pickle, such as torch's snapshot of memory", PICKLE),
];

/// What is said first of bytes that tell nothing.
pub(super) const UNKNOWN: &str = "bytes of no known form";

/// What a file is that begins with these bytes and is no JSON. Safe to print whatever they are.
pub(super) fn describe(head: &[u8]) -> String {
    let said = |is: &str, to_do: &str| format!("{is}; what to do: {to_do}");
    let known = |magic: &&Magic| head.get(magic.at..).is_some_and(|rest| rest.starts_with(magic.bytes));
    if let Some(magic) = MAGICS.iter().find(known) {
        return said(magic.is, magic.to_do);
    }
    if let [0x80, 2..=5, ..] = head {
        return said("a pickle, such as torch's snapshot of memory", PICKLE);
    }
    match first_message(head) {
        Some(message) if is_plane(message) => said(XPLANE.0, XPLANE.1),
        Some(_) => said(PERFETTO.0, PERFETTO.1),
        None if is_binary(head) => format!("{UNKNOWN}: {}; what to do: {LEFT}", hex(head)),
        None => format!("text that is no JSON: {}", super::defect::excerpt(head)),
    }
}

/// What a file of this name is, where its bytes did not say.
pub(super) fn by_name(name: &str) -> Option<String> {
    let (_, is, to_do) = NAMES.iter().find(|(end, ..)| name.ends_with(end))?;
    Some(format!("by its name {is}; what to do: {to_do}"))
}

/// True when an object or array that begins here can be no JSON: UTF-16, or the length of a protobuf message.
pub(super) fn is_no_json(window: &[u8], open: usize) -> bool {
    match window.get(open + 1) {
        Some(0) => true,
        Some(next) => {
            let control = *next < 0x20 && !next.is_ascii_whitespace();
            open > 0 && window.first() == Some(&b'\n') && (control || *next >= 0x80)
        }
        None => false,
    }
}

/// Bytes that no text has.
fn is_binary(head: &[u8]) -> bool {
    let head = &head[..head.len().min(512)];
    head.iter().any(|byte| *byte < 0x20 && !byte.is_ascii_whitespace() && *byte != 0x1b)
        || std::str::from_utf8(head).is_err_and(|error| error.error_len().is_some())
}

fn hex(head: &[u8]) -> String {
    head.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// The first message of a file that is a list of them in field 1, as Perfetto's and XLA's are; as far as the head
/// holds it.
fn first_message(head: &[u8]) -> Option<&[u8]> {
    let (length, rest) = varint(head.strip_prefix(&[0x0a])?)?;
    let length = usize::try_from(length).ok()?;
    let message = &rest[..rest.len().min(length)];
    // Behind a whole message the next one begins, or the file ends.
    let next = rest.get(length).is_none_or(|tag| tag & 7 <= 5 && tag >> 3 > 0);
    (next && is_binary(head) && length > 0 && fields(message).is_some()).then_some(message)
}

/// Numbers and bytes of the fields, as far as they are whole; nothing where they are no fields.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !message.is_empty() && found.len() < 8 {
        let (tag, rest) = varint(message)?;
        if tag >> 3 == 0 {
            return None;
        }
        let (value, rest) = match tag & 7 {
            0 => {
                let (_, behind) = varint(rest)?;
                (&rest[..0], behind)
            }
            1 => (&rest[..0], rest.get(8..).unwrap_or_default()),
            5 => (&rest[..0], rest.get(4..).unwrap_or_default()),
            2 => {
                let (length, rest) = varint(rest)?;
                rest.split_at(rest.len().min(usize::try_from(length).ok()?))
            }
            _ => return None,
        };
        found.push((tag >> 3, value));
        message = rest;
    }
    Some(found)
}

/// A plane of XLA has its name in field 2: `/host:CPU`, `/device:GPU:0`.
fn is_plane(message: &[u8]) -> bool {
    fields(message)
        .is_some_and(|fields| fields.iter().any(|(field, value)| *field == 2 && value.starts_with(b"/")))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * place as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let mut tar = vec![b'a'; 300];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, is) in [
            (b"PK\x03\x04\x14\0".as_slice(), "zip"),
            (&tar, "tar"),
            (b"BZh91AY&SY", "bzip2"),
            (b"\xfd7zXZ\0\0", "xz"),
            (b"SQLite format 3\0\x10", "SQLite"),
            (b"\x80\x04\x95\x10", "pickle"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"[\0{\0", "UTF-16"),
            // A packet with the sequence 7 and a track descriptor; a clock snapshot of 123 bytes.
            (b"\x0a\x07\x50\x07\xe2\x03\x02\x08\x01\x0a\x02\x50\x07", "Perfetto"),
            (b"\x0a{\x32\x79\x0a\x04\x08\x01\x10\x05", "Perfetto"),
            // A plane with the id 1.
            (b"\x0a\x0d\x08\x01\x12\x09/host:CPU", "XPlane"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (b"<!DOCTYPE html>", "markup"),
            (b"\x01\x02\x03\xff", "01 02 03 ff"),
            (b"Dear diary", "text that is no JSON: Dear diary"),
        ] {
            let said = describe(head);
            assert!(said.contains(is), "{is}: {said}");
            assert!(said.is_ascii(), "{said}");
        }
    }

    #[test]
    fn lines_of_text_are_no_messages() {
        assert!(describe(b"\n\nhello there\n").starts_with("text that is no JSON"));
        assert!(!is_no_json(b"\n{\n  \"schemaVersion\": 1", 1));
        assert!(
            is_no_json(b"\n{\x32\x79", 1) == is_no_json(b"\n{\"y", 1),
            "a printable byte decides nothing"
        );
        assert!(is_no_json(b"\n{\x0b\x01", 1) && is_no_json(b"{\0\"\0", 0));
    }

    #[test]
    fn names_tell_what_bytes_do_not() {
        assert!(by_name("rank0.hltv").unwrap().contains("habana"));
        assert_eq!(by_name("rank0.json"), None);
    }
}
