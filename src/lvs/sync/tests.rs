use std::io;
use std::num::NonZero;

use ipvs::fake::Fake;
use ipvs::{Command, Kernel};

use super::*;
use crate::config::{self, HostFacts};

const SYNC: &str = "[ipvs.sync]\ninterface = \"eth1\"\nid = 7\n";

fn config_with(more: &str) -> std::sync::Arc<Config> {
    let text = format!(
        "[cluster]\nname = \"web\"\nkeys = [\"/key\"]\n\
         [[director]]\nname = \"ha1\"\npaths = [{{ udp = \"192.0.2.11\" }}]\n\
         [[group]]\nname = \"web\"\nvips = [{{ address = \"192.0.2.80/24\", interface = \"eth0\" }}]\n\
         {more}"
    );
    config::parse(&text, "test", &HostFacts::unchecked())
        .unwrap()
        .config
}

/// A host of settings and interfaces in memory.
#[derive(Debug, Default)]
struct Settings {
    values: BTreeMap<String, String>,
    links: BTreeMap<String, u32>,
    read_only: bool,
}

impl Settings {
    /// As a kernel has them that nobody has changed, with `eth1`.
    fn usual() -> Self {
        let values = [
            ("sync_threshold", "3\t50\n"),
            ("sync_refresh_period", "0\n"),
            ("sync_retries", "0\n"),
            ("sync_ports", "1\n"),
            ("backup_only", "0\n"),
            ("expire_nodest_conn", "0\n"),
            ("expire_quiescent_template", "0\n"),
        ];
        Self {
            values: values
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            links: BTreeMap::from([("eth1".to_owned(), 5)]),
            read_only: false,
        }
    }
}

impl Host for &mut Settings {
    fn read(&mut self, name: &str) -> io::Result<String> {
        let found = self.values.get(name);
        found.cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, name: &str, value: &str) -> io::Result<()> {
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.values.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn link(&mut self, name: &str) -> Option<u32> {
        self.links.get(name).copied()
    }
}

/// A director's kernel, host and note.
struct Director {
    kernel: Fake,
    host: Settings,
    duty: Duty,
    folder: tempfile::TempDir,
}

impl Director {
    fn new() -> Self {
        Self {
            kernel: Fake {
                interfaces: BTreeMap::from([("eth1".to_owned(), 1500)]),
                ..Fake::default()
            },
            host: Settings::usual(),
            duty: Duty::default(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The rounds of one run of the daemon; the last report.
    fn run(&mut self, rounds: &[&Desired]) -> Report {
        let note = NoteFile::load(self.folder.path().join("sync.json"));
        let mut work = Work::new(&mut self.host, note, self.duty.clone());
        let mut report = Report::default();
        for desired in rounds {
            report = work.round(&mut self.kernel, desired).clone();
        }
        report
    }

    fn roles(&self) -> Vec<SyncRole> {
        self.kernel
            .daemons
            .iter()
            .map(|daemon| daemon.role)
            .collect()
    }

    fn value(&self, name: &str) -> &str {
        self.host.values[name].trim_end()
    }
}

fn both() -> Vec<SyncRole> {
    vec![SyncRole::Sender, SyncRole::Receiver]
}

#[test]
fn a_configuration_asks_for_both_daemons_and_the_settings_that_go_with_them() {
    let desired = desired(&config_with(SYNC));
    let roles: Vec<_> = desired.daemons.iter().map(|it| it.role).collect();
    assert_eq!(roles, both());
    for daemon in &desired.daemons {
        assert_eq!((daemon.interface.as_str(), daemon.id), ("eth1", 7));
        assert_eq!(daemon.group, Some([224, 0, 0, 81].into()));
        assert_eq!(daemon.port, NonZero::new(8848));
        assert_eq!(daemon.ttl, NonZero::new(1));
        assert_eq!(daemon.max_length, None);
    }
    let settings: Vec<String> = desired
        .sysctls
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(
        settings,
        [
            "expire_nodest_conn 1",
            "expire_quiescent_template 1",
            "sync_refresh_period 10",
            "sync_retries 1",
            "sync_threshold 3 0",
        ]
    );
    assert!(super::desired(&config_with("")).is_empty());
    let alone = super::desired(&config_with("[ipvs.sysctl]\nsloppy_tcp = 1\n"));
    assert_eq!(alone.daemons, []);
    assert_eq!(
        alone.sysctls,
        BTreeMap::from([("sloppy_tcp".into(), "1".into())])
    );
}

#[test]
fn a_clean_end_leaves_everything_as_it_was() {
    let mut director = Director::new();
    let desired = desired(&config_with(SYNC));
    let report = director.run(&[&desired]);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(director.roles(), both());
    assert_eq!(director.value("sync_threshold"), "3 0");
    assert_eq!(report.sysctls["sync_threshold"], "3 0");

    // Another run, after a crash: the note outlives it.
    let report = director.run(&[&desired, &Desired::default()]);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(director.roles(), []);
    assert_eq!(director.value("sync_threshold"), "3 50");
    assert_eq!(director.value("expire_nodest_conn"), "0");
    assert_eq!(fs_entries(&director), Vec::<String>::new());
}

fn fs_entries(director: &Director) -> Vec<String> {
    let entries = std::fs::read_dir(director.folder.path()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_configuration_without_sync_undoes_what_a_run_before_has_left() {
    let mut director = Director::new();
    let _ = director.run(&[&desired(&config_with(SYNC))]);
    let less = desired(&config_with("[ipvs.sysctl]\nexpire_nodest_conn = 1\n"));
    let report = director.run(&[&less]);
    assert_eq!(director.roles(), []);
    assert_eq!(director.value("sync_retries"), "0");
    assert_eq!(director.value("expire_nodest_conn"), "1");
    assert_eq!(report.sysctls, less.sysctls);
    let _ = director.run(&[&Desired::default()]);
    assert_eq!(director.value("expire_nodest_conn"), "0");
}

#[test]
fn running_daemons_are_adopted_and_those_of_others_are_left_at_the_end() {
    let mut director = Director::new();
    let desired = desired(&config_with(SYNC));
    for daemon in &desired.daemons {
        let start = Command::StartDaemon(daemon.clone());
        director.kernel.command(start).unwrap();
    }
    let report = director.run(&[&desired, &Desired::default()]);
    assert_eq!((report.problems, report.drift), (vec![], 0));
    assert_eq!(director.roles(), both(), "somebody else has started them");
}

#[test]
fn daemons_with_other_settings_are_started_anew_and_are_ours_then() {
    let mut director = Director::new();
    let wanted = desired(&config_with(SYNC));
    let other = SyncDaemon::new(SyncRole::Sender, "eth1", 8);
    director
        .kernel
        .command(Command::StartDaemon(other))
        .unwrap();
    let report = director.run(&[&wanted]);
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.daemons.iter().all(|daemon| daemon.id == 7));
    // A changed file, and a length that goes back to the kernel's choice.
    let longer = desired(&config_with(&format!("{SYNC}maxlen = 8000\n")));
    let report = director.run(&[&longer]);
    assert_eq!(report.daemons[0].max_length, NonZero::new(8000));
    let report = director.run(&[&wanted, &wanted]);
    assert_eq!(report.daemons[0].max_length, NonZero::new(1472));
    let _ = director.run(&[&Desired::default()]);
    assert_eq!(director.roles(), []);
}

#[test]
fn messages_may_be_short_going_out_but_not_coming_in() {
    let desired = desired(&config_with(&format!("{SYNC}maxlen = 44\n")));
    let lengths = |daemons: &[SyncDaemon]| -> Vec<_> {
        daemons.iter().map(|daemon| daemon.max_length).collect()
    };
    let expected = [NonZero::new(44), NonZero::new(1024)];
    assert_eq!(lengths(&desired.daemons), expected);
    let mut director = Director::new();
    let report = director.run(&[&desired, &desired]);
    assert_eq!(lengths(&report.daemons), expected);
}

#[test]
fn what_somebody_stops_or_sets_is_put_back_and_counted() {
    let mut director = Director::new();
    let desired = desired(&config_with(SYNC));
    let note = NoteFile::load(director.folder.path().join("sync.json"));
    let mut host = Settings::usual();
    let mut work = Work::new(&mut host, note, Duty::default());
    assert_eq!(work.round(&mut director.kernel, &desired).drift, 0);
    assert_eq!(work.round(&mut director.kernel, &desired).drift, 0);
    let stop = Command::StopDaemon(SyncRole::Receiver);
    director.kernel.command(stop).unwrap();
    work.host.write("sync_retries", "3").unwrap();
    assert_eq!(work.round(&mut director.kernel, &desired).drift, 2);
    assert_eq!(director.roles(), both());
    assert_eq!(
        work.round(&mut director.kernel, &Desired::default()).drift,
        2
    );
    assert_eq!(
        host.values["sync_retries"].trim_end(),
        "0",
        "not what somebody set meanwhile"
    );
}

#[test]
fn an_interface_that_does_not_exist_yet_is_told_and_waited_for() {
    let mut director = Director::new();
    let desired = desired(&config_with(SYNC));
    director.host.links.clear();
    director.kernel.interfaces = BTreeMap::from([("lo".to_owned(), 65_536)]);
    let report = director.run(&[&desired, &desired]);
    assert_eq!(report.drift, 0);
    assert_eq!(
        report.problems,
        [
            "cannot start the sync sender on eth1: there is no interface \"eth1\"",
            "cannot start the sync receiver on eth1: there is no interface \"eth1\"",
        ]
    );
    assert_eq!(director.value("sync_threshold"), "3 0", "the rest is done");
    director.host.links.insert("eth1".to_owned(), 9);
    director.kernel.interfaces.clear();
    let report = director.run(&[&desired]);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(director.roles(), both());
}

#[test]
fn daemons_are_started_anew_on_an_interface_that_has_come_back_as_another() {
    let desired = desired(&config_with(SYNC));
    let started = |link| {
        let daemons = desired.daemons.iter().map(|daemon| {
            let daemon = daemon.clone();
            (daemon.role, Started { daemon, link })
        });
        Note {
            daemons: daemons.collect(),
            sysctls: BTreeMap::new(),
        }
    };
    let actual = |link| Actual {
        daemons: desired.daemons.clone(),
        link,
        sysctls: BTreeMap::new(),
    };
    assert_eq!(plan(&desired, &actual(Some(5)), &started(Some(5))), []);
    assert_eq!(plan(&desired, &actual(None), &started(Some(5))), []);
    assert_eq!(plan(&desired, &actual(Some(5)), &started(None)), []);
    let steps = plan(&desired, &actual(Some(6)), &started(Some(5)));
    assert_eq!(steps.len(), 4);
}

#[test]
fn what_a_daemon_heeds_only_at_its_start_starts_it_anew() {
    let mut director = Director::new();
    let few = desired(&config_with(SYNC));
    let _ = director.run(&[&few]);
    let many = desired(&config_with(&format!(
        "{SYNC}[ipvs.sysctl]\nsync_ports = 4\n"
    )));
    let actual = Actual {
        daemons: director.kernel.daemons.clone(),
        link: Some(5),
        sysctls: [("sync_ports".to_owned(), "1".to_owned())].into(),
    };
    let steps = plan(&many, &actual, &Note::default());
    let shown: Vec<String> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "stop the sync sender",
            "stop the sync receiver",
            "set net.ipv4.vs.sync_ports to \"4\"",
            "start the sync sender on eth1",
            "start the sync receiver on eth1",
        ]
    );
}

#[test]
fn settings_that_the_kernel_lacks_or_refuses_keep_nothing_else_from_being_done() {
    let mut director = Director::new();
    director.host.values.remove("expire_quiescent_template");
    let desired = desired(&config_with(SYNC));
    let report = director.run(&[&desired]);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(
        report.lacking,
        BTreeSet::from(["expire_quiescent_template".to_owned()])
    );

    let mut director = Director::new();
    director.host.read_only = true;
    let report = director.run(&[&desired]);
    assert_eq!(report.problems.len(), 5, "{:?}", report.problems);
    assert_eq!(director.roles(), both());
}

#[test]
fn a_damaged_note_is_told_and_means_nothing() {
    let mut director = Director::new();
    std::fs::write(director.folder.path().join("sync.json"), "{").unwrap();
    let report = director.run(&[&desired(&config_with(SYNC))]);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(director.roles(), both());
}

/// One whose directors are real servers too.
const OWN_SERVER: &str = "[[virtual]]\nname = \"www\"\ngroup = \"web\"\naddress = \"192.0.2.80\"\n\
                          port = 80\nforward = \"direct\"\n\
                          [[virtual.server]]\naddress = \"192.0.2.11\"\n";

#[test]
fn a_director_that_is_a_real_server_leaves_packets_alone_while_it_has_no_group() {
    let mut director = Director::new();
    let desired = desired(&config_with(&format!("{OWN_SERVER}{SYNC}")));
    let duty = director.duty.clone();
    let report = director.run(&[&desired, &desired]);
    assert_eq!(report.sysctls["backup_only"], "1");
    duty.set(true, &mut &mut director.host).unwrap();
    assert_eq!(director.value("backup_only"), "0", "at once");
    let report = director.run(&[&desired, &desired]);
    assert_eq!((&*report.sysctls["backup_only"], report.drift), ("0", 0));
    // Whatever was written is no note of what was there before.
    duty.set(false, &mut &mut director.host).unwrap();
    assert_eq!(director.value("backup_only"), "1");
    let _ = director.run(&[&desired, &Desired::default()]);
    assert_eq!(director.value("backup_only"), "0");
    assert_eq!(fs_entries(&director), Vec::<String>::new());
    duty.set(true, &mut &mut director.host).unwrap();
    duty.set(false, &mut &mut director.host).unwrap();
    assert_eq!(
        director.value("backup_only"),
        "0",
        "it is not ours any more"
    );
}

#[test]
fn what_ownership_changes_is_no_drift_and_what_others_change_is() {
    let mut director = Director::new();
    let desired = desired(&config_with(&format!("{OWN_SERVER}{SYNC}")));
    let note = NoteFile::load(director.folder.path().join("sync.json"));
    let duty = Duty::default();
    let mut host = Settings::usual();
    let mut work = Work::new(&mut host, note, duty.clone());
    for (balances, value) in [(false, "1"), (true, "0"), (false, "1")] {
        duty.set(balances, &mut work.host).unwrap();
        let report = work.round(&mut director.kernel, &desired);
        assert_eq!((&*report.sysctls["backup_only"], report.drift), (value, 0));
    }
    work.host.write("backup_only", "0").unwrap();
    let report = work.round(&mut director.kernel, &desired);
    assert_eq!((&*report.sysctls["backup_only"], report.drift), ("1", 1));
}

#[test]
fn a_director_that_has_died_stands_aside_if_it_was_to() {
    let mut director = Director::new();
    director.duty.set(true, &mut &mut director.host).unwrap();
    let path = director.folder.path().join("sync.json");
    let aside = |director: &mut Director| {
        let note = NoteFile::load(path.clone());
        stand_aside(&note, &mut &mut director.host).unwrap()
    };
    assert!(!aside(&mut director), "it has changed nothing");
    let desired = desired(&config_with(&format!("{OWN_SERVER}{SYNC}")));
    let _ = director.run(&[&desired]);
    assert_eq!(director.value("backup_only"), "0");
    assert!(aside(&mut director));
    assert_eq!(director.value("backup_only"), "1");
    director.duty = Duty::default();
    let _ = director.run(&[&desired, &Desired::default()]);
    assert_eq!(
        director.value("backup_only"),
        "0",
        "as before the first run"
    );
}

#[test]
fn a_setting_that_is_said_to_be_0_stays_0() {
    let mut director = Director::new();
    let fixed = format!("{OWN_SERVER}{SYNC}[ipvs.sysctl]\nbackup_only = 0\n");
    let desired = desired(&config_with(&fixed));
    director
        .host
        .values
        .insert("backup_only".into(), "1\n".into());
    let report = director.run(&[&desired, &desired]);
    assert_eq!(report.sysctls["backup_only"], "0");
    director.duty.set(true, &mut &mut director.host).unwrap();
    director.duty.set(false, &mut &mut director.host).unwrap();
    assert_eq!(director.value("backup_only"), "0");
}

#[test]
fn a_sender_falls_silent_before_its_table_goes() {
    let mut director = Director::new();
    let desired = desired(&config_with(SYNC));
    let note = NoteFile::load(director.folder.path().join("sync.json"));
    let mut host = Settings::usual();
    let mut work = Work::new(&mut host, note, Duty::default());
    let _ = work.round(&mut director.kernel, &desired);
    work.hush(&mut director.kernel);
    let roles = |kernel: &Fake| -> Vec<_> { kernel.daemons.iter().map(|it| it.role).collect() };
    assert_eq!(roles(&director.kernel), [SyncRole::Receiver]);
    let report = work.round(&mut director.kernel, &Desired::default());
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(roles(&director.kernel), []);
}
