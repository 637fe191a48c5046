//! The messages of Perfetto's protobuf that are written, with the numbers of `perfetto_trace.proto` (v59). The rest of
//! its thousands of fields is never needed.

use prost::Message;

/// A file is packets one behind the other; a file of one packet is a piece of such a file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct File {
    #[prost(message, repeated, tag = "1")]
    pub(super) packet: Vec<Packet>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Packet {
    #[prost(uint64, optional, tag = "8")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, tag = "10")]
    pub(super) sequence: u32,
    #[prost(message, optional, tag = "11")]
    pub(super) event: Option<Event>,
    #[prost(message, optional, tag = "12")]
    pub(super) interned: Option<Interned>,
    #[prost(uint32, tag = "13")]
    pub(super) sequence_flags: u32,
    #[prost(message, optional, tag = "60")]
    pub(super) track: Option<Track>,
}

/// The sequence begins: nothing was interned before.
pub(super) const CLEARED: u32 = 1;
/// Names are looked up among those interned before.
pub(super) const NEEDS_INTERNED: u32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Track {
    #[prost(uint64, tag = "1")]
    pub(super) uuid: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(uint64, optional, tag = "5")]
    pub(super) parent: Option<u64>,
    #[prost(message, optional, tag = "8")]
    pub(super) counter: Option<Counter>,
    #[prost(int32, tag = "11")]
    pub(super) child_ordering: i32,
    #[prost(int32, tag = "12")]
    pub(super) rank: i32,
    #[prost(int32, tag = "15")]
    pub(super) merge: i32,
}

/// Children stand in the order of their ranks.
pub(super) const BY_RANK: i32 = 3;
/// Tracks of one name are still several.
pub(super) const NEVER_MERGED: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Counter {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(uint64, repeated, packed = "false", tag = "3")]
    pub(super) categories: Vec<u64>,
    #[prost(message, repeated, tag = "4")]
    pub(super) annotations: Vec<Annotation>,
    #[prost(int32, tag = "9")]
    pub(super) kind: i32,
    #[prost(uint64, optional, tag = "10")]
    pub(super) name: Option<u64>,
    #[prost(uint64, tag = "11")]
    pub(super) track: u64,
    #[prost(double, optional, tag = "44")]
    pub(super) counter: Option<f64>,
    // Perfetto's reader passes over packed ones without a word.
    #[prost(fixed64, repeated, packed = "false", tag = "47")]
    pub(super) flows: Vec<u64>,
    #[prost(fixed64, repeated, packed = "false", tag = "48")]
    pub(super) ending_flows: Vec<u64>,
}

pub(super) const BEGIN: i32 = 1;
pub(super) const END: i32 = 2;
pub(super) const INSTANT: i32 = 3;
pub(super) const COUNTER: i32 = 4;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Interned {
    #[prost(message, repeated, tag = "1")]
    pub(super) categories: Vec<Name>,
    #[prost(message, repeated, tag = "2")]
    pub(super) names: Vec<Name>,
    #[prost(message, repeated, tag = "3")]
    pub(super) keys: Vec<Name>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Name {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) text: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Annotation {
    #[prost(uint64, tag = "1")]
    pub(super) key: u64,
    #[prost(bool, optional, tag = "2")]
    pub(super) bool: Option<bool>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) uint: Option<u64>,
    #[prost(int64, optional, tag = "4")]
    pub(super) int: Option<i64>,
    #[prost(double, optional, tag = "5")]
    pub(super) double: Option<f64>,
    #[prost(string, optional, tag = "6")]
    pub(super) string: Option<String>,
}
