use super::{Stub, run};

/// What is said of an input that is wrong, with nothing carried out.
fn refused(args: &[&str], input: &str) -> (u8, String) {
    let stub = Stub::default();
    let (status, stdout, stderr) = run(args, input, &stub);
    assert_eq!(stdout, "");
    assert!(stub.table().is_empty() && stub.fake.borrow().done.is_empty());
    (status, stderr)
}

#[test]
fn every_wrong_line_is_named_and_none_is_carried_out() {
    let input = "-A -t 192.0.2.1:80\n\n  # -x\n#\n-A -t 192.0.2.1:x\nlvsadm -a -f 1 -r x:1:\n\
                 -R\n-v\n-L --watch 1\nword -C";
    assert_eq!(
        refused(&["-R"], input),
        (
            2,
            "line 5: illegal virtual server address[:port] specified\n\
             line 6: illegal real server address[:port] specified\n\
             line 7: another restore has no place in a restore\n\
             line 8: the version has no place in a restore\n\
             line 9: watching has no place in a restore\n\
             line 10: unexpected argument word\n"
                .to_owned()
        )
    );
}

#[test]
fn any_bytes_are_refused_or_carried_out_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(11);
    let alphabet = b"-AaDdELSZCR tufrswpMb=:.[]0123456789\n\xff#\x00 --set";
    for _ in 0..2000 {
        let length = random.usize(..60);
        let bytes: Vec<u8> = (0..length)
            .map(|_| alphabet[random.usize(..alphabet.len())])
            .collect();
        let input = String::from_utf8_lossy(&bytes).into_owned();
        let (status, _, stderr) = run(&["-R"], &input, &Stub::default());
        assert_eq!(
            status == 0,
            stderr.is_empty(),
            "{input:?}: {status} {stderr}"
        );
    }
}

#[test]
fn commands_and_listings_are_carried_out_in_their_order() {
    let stub = Stub::default();
    let input = "ipvsadm -A -f 1\n-L -n -f 1\n-S -n\n\t-D -f 1\r\nipvsadm\n-S";
    let (status, stdout, stderr) = run(&["-R"], input, &stub);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        "Prot LocalAddress:Port Scheduler Flags\n  \
         -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\nFWM  1 wlc\n\
         -A -f 1 -s wlc\n"
    );
}

#[test]
fn what_the_kernel_refuses_is_named_and_the_rest_goes_on() {
    let stub = Stub::default();
    let input = "-A -f 1\n-A -f 1\n-a -f 2 -r 10.0.0.1\n-A -f 3\n";
    let (status, _, stderr) = run(&["-R"], input, &stub);
    assert_eq!(
        (status, stderr.as_str()),
        (
            255,
            "line 2: Service already exists\nline 3: Service not defined\n"
        )
    );
    assert_eq!(stub.table().len(), 2);
}

#[test]
fn a_replacement_sends_only_what_differs() {
    let stub = Stub::default();
    let before = "-A -f 1\n-a -f 1 -r 10.0.0.1 -m\n-a -f 1 -r 10.0.0.2 -m\n-A -f 2\n";
    assert_eq!(run(&["-R"], before, &stub).0, 0);
    stub.fake.borrow_mut().done.clear();
    let after = "-A -f 9\n-C\n-A -f 1\n-a -f 1 -r 10.0.0.1 -m -w 5\n--set 7 0 0\n\
                 -a -f 1 -r 10.0.0.2 -m\n";
    assert_eq!(
        run(&["-R", "--replace"], after, &stub),
        (0, String::new(), String::new())
    );
    let done: Vec<String> = stub
        .fake
        .borrow()
        .done
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        done,
        [
            "edit destination 10.0.0.1:0 of fwmark 1",
            "remove service fwmark 2"
        ]
    );
    assert_eq!(stub.fake.borrow().timeouts.tcp, 7);
    stub.fake.borrow_mut().done.clear();
    assert_eq!(run(&["-R", "--replace"], after, &stub).0, 0);
    assert_eq!(stub.fake.borrow().done, []);
}

#[test]
fn a_replacement_that_is_wrong_in_itself_changes_nothing() {
    assert_eq!(
        refused(
            &["-R", "--replace"],
            "-A -f 1\n-A -f 1\n-S\n-a -f 2 -r 10.0.0.1\n"
        ),
        (
            255,
            "line 2: Service already exists\nline 3: a listing has no place in a replacement\n\
             line 4: Service not defined\n"
                .to_owned()
        )
    );
}

#[test]
fn what_only_the_kernel_refuses_in_a_replacement_is_named_too() {
    let stub = Stub::default();
    stub.fake.borrow_mut().schedulers = ["wlc".to_owned()].into();
    let (status, _, stderr) = run(
        &["-R", "--replace"],
        "-A -f 1\n\n-A -f 2 -s nosuch\n",
        &stub,
    );
    assert_eq!(
        (status, stderr.as_str()),
        (255, "line 3: Scheduler or persistence engine not found\n")
    );
    assert_eq!(stub.table().len(), 1);
}
