//! The heads of messages: a list of fields over the bytes that came, in the order and the case in which they
//! came. They are edited in place: what is added stands behind those bytes.

mod fields;
pub(crate) mod names;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub(crate) use fields::{Fields, Line, is_plain, text_of};
pub(crate) use names::{Known, Set};
pub(crate) use request::{RequestHead, Scheme, absolute_authority, is_path_and_query, split_query};
pub(crate) use response::ResponseHead;
