use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.key");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

#[test]
fn a_generated_key_is_private_and_loads_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.key");
    let made = generate(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(load(&path).unwrap().id(), made.id());
}

#[test]
fn a_key_is_never_overwritten() {
    let (_folder, path) = file(b"precious", 0o600);
    assert!(matches!(generate(&path), Err(KeyError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = generate(Path::new("/nonexistent/cluster.key")).unwrap_err();
    assert!(matches!(error, KeyError::Write { .. }));
    assert_eq!(
        error.to_string(),
        "cannot write key file /nonexistent/cluster.key: no such file or directory"
    );
}

#[test]
fn hexadecimal_and_base64_of_the_same_bytes_are_the_same_key() {
    let hex = "00112233445566778899aabbccddeeff".repeat(2);
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    let (_a, hex_file) = file(hex.as_bytes(), 0o600);
    let (_b, base64_file) = file(format!("{base64}\n").as_bytes(), 0o400);
    let (_c, unpadded_file) = file(base64.trim_end_matches('=').as_bytes(), 0o400);
    let id = load(&hex_file).unwrap().id();
    assert_eq!(load(&base64_file).unwrap().id(), id);
    assert_eq!(load(&unpadded_file).unwrap().id(), id);
}

#[test]
fn what_is_no_key_is_refused() {
    let long = "a".repeat(5000);
    for content in [
        "se!cret",
        // 63 hexadecimal digits that would be base64 of 47 bytes.
        &"4".repeat(63),
        "not base64 but long enough, or is it? !!",
        &long,
    ] {
        let (_folder, path) = file(content.as_bytes(), 0o600);
        assert!(
            matches!(load(&path), Err(KeyError::NotAKey(_))),
            "{content}"
        );
    }
    let (_folder, path) = file(b"\n \n", 0o600);
    assert!(matches!(load(&path), Err(KeyError::Empty(_))));
    for (content, length) in [("ab".repeat(31), 31), ("AAECAwQF".to_owned(), 6)] {
        let (_folder, path) = file(content.as_bytes(), 0o600);
        let error = load(&path).unwrap_err();
        let told = format!("holds a key of {length} bytes: expected 32 or more");
        assert!(error.to_string().contains(&told), "{error}");
        assert!(
            error
                .help()
                .unwrap()
                .contains("copy it from another director")
        );
    }
}

#[test]
fn any_right_of_others_is_refused() {
    for mode in [0o640, 0o604, 0o660, 0o644, 0o601, 0o700] {
        let (_folder, path) = file("ab".repeat(32).as_bytes(), mode);
        let Err(KeyError::Mode { mode: seen, .. }) = load(&path) else {
            panic!("mode {mode:o} was accepted");
        };
        assert_eq!(seen, mode);
    }
}

#[test]
fn a_folder_or_pipe_is_no_key_file_and_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(load(folder.path()), Err(KeyError::NotRegular(_))));
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(matches!(load(&pipe), Err(KeyError::NotRegular(_))));
}

#[test]
fn debug_shows_no_secret() {
    let key = Key::new(&[0x5a; 32]).unwrap();
    let shown = format!("{:?}", KeyRing::new(vec![key.clone()]));
    assert_eq!(shown, format!("KeyRing {{ keys: [Key({})] }}", key.id()));
}

#[test]
fn the_first_key_signs_and_all_are_found() {
    let (a, b) = (Key::new(&[1; 32]).unwrap(), Key::new(&[2; 40]).unwrap());
    let ring = KeyRing::new(vec![a.clone(), b.clone()]);
    assert_eq!(ring.signing().unwrap().id(), a.id());
    assert_eq!(ring.find(b.id()).unwrap().id(), b.id());
    assert!(ring.find(KeyId([0; 4])).is_none());
    assert!(KeyRing::default().signing().is_none());
}
