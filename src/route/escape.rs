//! Percent-encoding, by nginx's three sets: what goes into a path, what goes into a query, and what must never stand
//! in a Location bare.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// What no Location may hold: controls split a reply, and browsers read `\` as `/`. What is encoded stays encoded.
const LOCATION: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// nginx's NGX_ESCAPE_URI: a decoded path made a path again.
const PATH: &AsciiSet = &LOCATION.add(b'#').add(b'%').add(b'?');

/// nginx's NGX_ESCAPE_ARGS: a decoded value made part of a query.
const ARGS: &AsciiSet = &PATH.add(b'&').add(b'+').add(b';');

/// Appends a decoded path.
pub(super) fn path(bytes: &[u8], out: &mut Vec<u8>) {
    percent_encode(bytes, PATH).for_each(|piece| out.extend_from_slice(piece.as_bytes()));
}

/// Appends a decoded value to a query.
pub(super) fn args(bytes: &[u8], out: &mut Vec<u8>) {
    percent_encode(bytes, ARGS).for_each(|piece| out.extend_from_slice(piece.as_bytes()));
}

/// What may be sent as Location.
pub(super) fn location(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    percent_encode(bytes, LOCATION).for_each(|piece| out.extend_from_slice(piece.as_bytes()));
    out
}
