//! Commands and listings as bytes (linux/ip_vs.h, linux/genetlink.h).

mod consts;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub(crate) use consts::{GENL_ID_CTRL, command};
pub(crate) use decode::{
    decode_daemon, decode_destination, decode_family, decode_info, decode_service, decode_timeouts,
};
pub(crate) use encode::{encode, encode_change, family_request, plain_request, service_request};
