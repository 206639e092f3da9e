//! Who may use the admin socket, by what the kernel says of the process that connected.

use std::io;
use std::os::fd::AsFd;

use nix::unistd::{Gid, Uid};
use peer_groups::peer_groups;

/// Why a process may not use the socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAdmitted {
    #[error("it is neither root, nor the server's user, nor in the admin group")]
    Stranger,
    #[error(
        "its user or group id stands for every id that this user namespace does not map, so it proves nothing"
    )]
    Unmapped,
    #[error("its groups cannot be read")]
    UnknownGroups(#[source] io::Error),
}

/// Decides who may use the socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerCheck {
    own: Uid,
    group: Option<Gid>,
    /// The ids that stand for those without one in this user namespace, if there are such.
    unmapped: Option<Overflow>,
    /// Whether this very process may come in.
    itself: bool,
}

/// The ids that Linux gives where the true ones have none in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Overflow {
    uid: Uid,
    gid: Gid,
}

impl PeerCheck {
    /// Admits root, this process's user, and the members of `group`.
    pub(super) fn new(group: Option<Gid>) -> Self {
        Self { own: Uid::effective(), group, unmapped: Overflow::here(), itself: true }
    }

    /// As [`AdminSocket::refusing_itself`](super::socket::AdminSocket::refusing_itself).
    pub(super) fn refusing_itself(self) -> Self {
        Self { itself: false, ..self }
    }

    /// Whether the process `pid` is this one, and may not come in.
    pub(super) fn refuses_itself(&self, pid: Option<i32>) -> bool {
        let own = i32::try_from(std::process::id()).ok();
        !self.itself && pid.is_some() && pid == own
    }

    /// Checks that the process that has connected, of `uid` and with the group `gid`, may use the socket.
    /// The file's mode asks the same; this holds even when somebody has changed that. The supplementary
    /// groups are those that the kernel keeps with the connection. So this neither follows a process id,
    /// which may be another process's by now, nor asks the user database, which doesn't know the groups of
    /// a container or of a systemd unit, and may be at the other end of a network.
    ///
    /// # Errors
    /// When it may not.
    pub(super) fn check(&self, socket: &impl AsFd, uid: u32, gid: u32) -> Result<(), NotAdmitted> {
        self.check_by(uid, gid, || peer_groups(socket))
    }

    fn check_by(
        &self,
        uid: u32,
        gid: u32,
        others: impl FnOnce() -> io::Result<Vec<u32>>,
    ) -> Result<(), NotAdmitted> {
        let uid = Uid::from_raw(uid);
        if uid.is_root() {
            return Ok(());
        }
        let mut unmapped = false;
        if uid == self.own {
            unmapped = self.unmapped.is_some_and(|unmapped| unmapped.uid == uid);
            if !unmapped {
                return Ok(());
            }
        }
        if let Some(group) = self.group {
            let is_member = group.as_raw() == gid
                || others().map_err(NotAdmitted::UnknownGroups)?.contains(&group.as_raw());
            let is_unmapped = self.unmapped.is_some_and(|unmapped| unmapped.gid == group);
            if is_member && !is_unmapped {
                return Ok(());
            }
            unmapped |= is_member;
        }
        Err(if unmapped { NotAdmitted::Unmapped } else { NotAdmitted::Stranger })
    }
}

impl Overflow {
    /// `None` in a user namespace that maps all ids, such as the first: there they are a user and a group
    /// like any other (`nobody`, `nogroup`).
    fn here() -> Option<Self> {
        let maps = ["/proc/self/uid_map", "/proc/self/gid_map"];
        if maps.iter().all(|map| std::fs::read_to_string(map).is_ok_and(|map| maps_all(&map))) {
            return None;
        }
        let read = |path| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        let uid = read("/proc/sys/kernel/overflowuid").unwrap_or(DEFAULT_OVERFLOW_ID);
        let gid = read("/proc/sys/kernel/overflowgid").unwrap_or(DEFAULT_OVERFLOW_ID);
        Some(Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) })
    }
}

/// Whether a map of ids (`user_namespaces(7)`) leaves none out. Its ranges don't overlap.
fn maps_all(map: &str) -> bool {
    let lengths =
        map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    lengths.sum::<u64>() >= ALL_IDS
}

const DEFAULT_OVERFLOW_ID: u32 = 65_534;

/// The number of ids; the last value of 32 bits is none.
const ALL_IDS: u64 = u32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer_check(group: Option<u32>, unmapped: Option<u32>) -> PeerCheck {
        let unmapped =
            unmapped.map(|id| Overflow { uid: Uid::from_raw(id), gid: Gid::from_raw(id) });
        PeerCheck {
            own: Uid::from_raw(1000),
            group: group.map(Gid::from_raw),
            unmapped,
            itself: true,
        }
    }

    fn is_admitted(check: PeerCheck, uid: u32, gid: u32, others: &[u32]) -> bool {
        check.check_by(uid, gid, || Ok(others.to_vec())).is_ok()
    }

    #[test]
    fn only_root_the_server_itself_and_its_group_are_admitted() {
        let check = peer_check(None, None);
        assert!(is_admitted(check, 0, 0, &[]) && is_admitted(check, 1000, 7, &[]));
        assert!(!is_admitted(check, 1001, 1000, &[1000]) && !is_admitted(check, 1001, 0, &[0]));
        // A user that no database knows, such as systemd's dynamic ones.
        let check = peer_check(Some(77), None);
        assert!(is_admitted(check, 4_000_001, 77, &[]));
        assert!(is_admitted(check, 4_000_001, 78, &[5, 77]));
        assert!(!is_admitted(check, 4_000_001, 78, &[5, 7]));
        let unknown = || Err(io::Error::from(io::ErrorKind::Unsupported));
        let refused = check.check_by(4_000_001, 78, unknown);
        assert!(matches!(refused, Err(NotAdmitted::UnknownGroups(_))), "{refused:?}");
    }

    #[test]
    fn an_id_that_stands_for_all_unmapped_ones_admits_nobody() {
        let refused = |check: PeerCheck, uid, gid, others: &[u32]| {
            let checked = check.check_by(uid, gid, || Ok(others.to_vec()));
            matches!(checked, Err(NotAdmitted::Unmapped))
        };
        let own = peer_check(None, Some(1000));
        assert!(refused(own, 1000, 7, &[]) && is_admitted(own, 0, 7, &[]));
        let group = peer_check(Some(77), Some(77));
        assert!(refused(group, 5, 77, &[]) && refused(group, 5, 6, &[77]));
        // The server's user is known by another id than its group.
        assert!(is_admitted(group, 1000, 77, &[]));
        // An unmapped user may be in a group that is mapped.
        assert!(is_admitted(peer_check(Some(77), Some(65_534)), 65_534, 65_534, &[77]));
        // Where all ids are mapped, it is one like any other.
        assert!(is_admitted(peer_check(Some(65_534), None), 5, 65_534, &[]));
    }

    #[test]
    fn a_map_is_whole_or_leaves_ids_out() {
        assert!(maps_all("         0          0 4294967295\n"));
        assert!(maps_all("0 0 1000\n1000 100000 4294966295\n"));
        for part in ["", "0 1000 1\n", "0 100000 65536\n", "0 0 1000\n1001 1001 4294966294\n"] {
            assert!(!maps_all(part), "{part}");
        }
    }
}
