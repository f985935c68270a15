//! What the fuzzer calls, and the replay of its corpus.

use crate::connections;
use crate::netlink::Messages;
use crate::outline;
use crate::wire;

/// Reads bytes as everything that the kernel could send. The first byte says what they are.
pub fn decode(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind {
        b'c' => String::from_utf8_lossy(rest).lines().for_each(|line| {
            let _ = connections::parse(line);
        }),
        b'o' => {
            let _ = outline::read(rest, "the corpus");
        }
        b'n' => {
            for message in Messages::new(rest).map_while(Result::ok) {
                message.probe();
                payload(message.payload);
            }
        }
        _ => payload(rest),
    }
}

fn payload(bytes: &[u8]) {
    let _ = wire::decode_service(bytes);
    let _ = wire::decode_destination(bytes, false);
    let _ = wire::decode_destination(bytes, true);
    let _ = wire::decode_family(bytes);
    let _ = wire::decode_info(bytes);
    let _ = wire::decode_daemon(bytes);
    let _ = wire::decode_timeouts(bytes);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_corpus_makes_no_reader_panic() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/decode");
        let mut replayed = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            super::decode(&bytes);
            for cut in 0..bytes.len().min(200) {
                super::decode(&bytes[..cut]);
            }
            replayed += 1;
        }
        assert!(replayed >= 20, "{replayed} files");
    }
}
