//! The tool for people whose hands know ipvsadm: `lvsadm`.

fn main() {}
