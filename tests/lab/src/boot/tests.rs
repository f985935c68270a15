use std::time::Duration;

use super::*;

fn guest(name: &str, limit: Duration) -> Guest {
    Guest {
        name: format!("lab.{name}"),
        args: Vec::new(),
        limit: Some(limit),
        console: Console::Kept,
        metered: false,
    }
}

/// Boots a script as process 1.
fn boot(name: &str, script: &str, limit: Duration) -> Result<Ended, String> {
    assert_eq!(packages::complaint(), None);
    let guest = guest(name, limit);
    let _slot = Slot::take()?;
    let out = guest.make_out()?;
    let init = out.join("init");
    fs::write(&init, format!("#!/bin/sh\n{script}\n")).map_err(|e| unwritable(&init, &e))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&init, mode).map_err(|e| unwritable(&init, &e))?;
    guest.boot(&init, &out)
}

#[test]
fn a_guest_whose_process_1_ends_is_an_error_that_shows_the_console() {
    let error = boot("crash", "echo last words; exit 0", Duration::from_secs(60)).unwrap_err();
    assert!(error.contains("ended without a result"), "{error}");
    assert!(error.contains("last words"), "{error}");
    assert!(error.contains("Kernel panic"), "{error}");
}

#[test]
fn a_guest_that_hangs_is_killed_and_is_an_error() {
    let error = boot(
        "hang",
        "echo hanging; exec sleep 1000",
        Duration::from_secs(6),
    )
    .unwrap_err();
    assert!(error.contains("still running after 6s"), "{error}");
    assert!(error.contains("hanging"), "{error}");
}
