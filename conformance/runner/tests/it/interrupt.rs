//! Ctrl-C in mid-run: what there is is written and marked partial, and all processes are gone.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::folder;

#[test]
fn an_interrupted_run_writes_what_it_has_and_leaves_no_process() {
    let folder = folder();
    let mut run = Command::new(assert_cmd::cargo::cargo_bin!("flightcheck"))
        .current_dir(folder.path())
        .args(["run", "--run", "timeouts/hang", "--json", "r.json", "--bundle", "run.jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(run.stderr.take().expect("piped")).lines();
    let planned = lines.find(|line| line.as_ref().is_ok_and(|text| text.starts_with("8 permutations")));
    assert!(planned.is_some(), "it never said what it will run");
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    let pid = Pid::from_raw(run.id() as i32).expect("a process id");
    // All eight permutations run: each has its subject.
    let children = children_at_least(run.id(), 8);
    kill_process(pid, Signal::INT).expect("it is there");

    let status = run.wait().expect("it ends");
    let mut out = String::new();
    run.stdout.take().expect("piped").read_to_string(&mut out).expect("UTF-8");
    reader.join().expect("it reads to the end");
    assert_eq!(status.code(), Some(3), "{out}");
    assert!(out.contains("partial: the run was cut short"), "{out}");
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("r.json")).expect("it was written"))
            .expect("JSON");
    assert_eq!(report["partial"], true);
    assert_eq!(report["permutations"]["not-run"], 8);
    let left: Vec<u32> = children.into_iter().filter(|child| is_alive(*child)).collect();
    assert_eq!(left, Vec::<u32>::new(), "subjects are gone");
}

#[test]
fn an_interrupted_smoke_leaves_no_process() {
    let folder = folder();
    let manifest = "schema = 1\nname = \"sleeper\"\ndrive = \"stdio\"\ncommand = [\"sleep\", \"600\"]\n[options]\n\"server.uri\" = { native = \"uri\" }\n[declares]\ntls = \"optional\"\n";
    super::write(folder.path(), "subject.toml", manifest);
    let mut smoke = Command::new(assert_cmd::cargo::cargo_bin!("flightcheck"))
        .current_dir(folder.path())
        .args(["smoke", "."])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let children = children_at_least(smoke.id(), 1);
    let pid = Pid::from_raw(smoke.id() as i32).expect("a process id");
    kill_process(pid, Signal::INT).expect("it is there");
    assert_eq!(smoke.wait().expect("it ends").code(), Some(3));
    // It was killed before; on a busy machine it takes the system a moment to end it.
    let limit = Instant::now() + Duration::from_secs(10);
    while children.iter().any(|child| is_alive(*child)) {
        assert!(Instant::now() < limit, "the subject lives on: {children:?}");
        std::thread::yield_now();
    }
}

/// State and parent of a process, from `/proc/PID/stat`.
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn children_at_least(parent: u32, many: usize) -> Vec<u32> {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let children = children_of(parent);
        if children.len() >= many {
            return children;
        }
        assert!(Instant::now() < limit, "{many} subjects never ran at once: {children:?}");
        std::thread::yield_now();
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}
