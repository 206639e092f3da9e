//! A child on its core, and what it and its own children have used.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The kernel tells times in hundredths of a second, whatever it counts in (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// How long a child may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running child. Dropping it ends it, and its own children.
pub(crate) struct Process {
    child: Child,
}

/// Time on cores.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Cpu {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

/// What `/proc` tells of one process.
struct Entry {
    parent: u32,
    own: Cpu,
    /// Of its children that have ended.
    ended: Cpu,
}

impl Process {
    /// Starts a command on some cores. It gets a signal when this program ends, however that happens.
    pub(crate) fn start(cores: &str, command: &[String], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("a log file");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "-c", cores])
            .args(command)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .spawn()
            .expect("setpriv and taskset are installed (util-linux)");
        Self { child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(to_pid(self.pid()), signal);
    }

    /// The time that it and its children have had on cores, also those that have ended.
    pub(crate) fn cpu(&self) -> Cpu {
        let all = entries();
        let mut sum = Cpu::default();
        for pid in tree(&all, self.pid()) {
            let entry = &all[&pid];
            sum.user += entry.own.user + entry.ended.user;
            sum.system += entry.own.system + entry.ended.system;
        }
        sum
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that was resident, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// It and its children.
    pub(crate) fn pids(&self) -> Vec<u32> {
        tree(&entries(), self.pid())
    }

    fn memory(&self, key: &str) -> u64 {
        let of = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        tree(&entries(), self.pid()).iter().filter_map(of).sum::<u64>() * 1024
    }

    fn stop(&mut self) {
        let tree = tree(&entries(), self.pid());
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() {
            if Instant::now() > deadline {
                for pid in tree {
                    let _ = kill(to_pid(pid), Signal::SIGKILL);
                }
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn to_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a pid"))
}

/// Every process of this machine.
fn entries() -> HashMap<u32, Entry> {
    let directory = std::fs::read_dir("/proc").expect("Linux has it");
    let pids = directory.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, entry(pid)?))).collect()
}

fn entry(pid: u32) -> Option<Entry> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything. What follows are the fields from the third on.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |field: usize| Some(TICK * fields.get(field - 3)?.parse::<u32>().ok()?);
    Some(Entry {
        parent: fields.get(1)?.parse().ok()?,
        own: Cpu { user: ticks(14)?, system: ticks(15)? },
        ended: Cpu { user: ticks(16)?, system: ticks(17)? },
    })
}

fn tree(all: &HashMap<u32, Entry>, root: u32) -> Vec<u32> {
    let mut found: Vec<u32> = all.contains_key(&root).then_some(root).into_iter().collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, entry)| entry.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}
