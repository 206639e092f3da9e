//! Who may use the admin socket: what the kernel says of the process that connected, and nothing else.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetOsString;
use nix::unistd::{Gid, Uid};

/// Who may come in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    own: Uid,
    group: Option<Gid>,
    /// Whether this very process may come in.
    itself: bool,
}

impl Gate {
    /// Lets in root, this process's user, and the members of `group`.
    pub(super) fn new(group: Option<Gid>) -> Self {
        Self { own: Uid::effective(), group, itself: true }
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

    /// Whether the process that has connected, of `uid` and with the group `gid`, may use the socket.
    /// The file's mode asks the same; this holds even when somebody has changed that.
    pub(super) fn admits(&self, socket: &impl AsFd, uid: u32, gid: u32) -> bool {
        self.admits_by(uid, gid, || supplementary_groups(socket))
    }

    fn admits_by(
        &self,
        uid: u32,
        gid: u32,
        others: impl FnOnce() -> Result<Vec<Gid>, Errno>,
    ) -> bool {
        let uid = Uid::from_raw(uid);
        if uid.is_root() || uid == self.own {
            return true;
        }
        let Some(group) = self.group else { return false };
        group.as_raw() == gid || others().is_ok_and(|others| others.contains(&group))
    }
}

/// The most groups that a peer is asked for; Active Directory has at most 1,015 for a user.
const MAX_GROUPS: usize = 4096;
const MAX_BYTES: usize = MAX_GROUPS * size_of::<libc::gid_t>();

/// The bits of a byte that each of the two options leaves as they are.
const LOW_BITS: u8 = 0x7f;
const HIGH_BITS: u8 = 0xfe;

/// What `SO_PEERGROUPS` gives, with all bits set but those of `KEPT`. `nix` reads options of any length
/// only as texts, which end at a byte of zero: so none may be zero, and two readings make a whole.
struct Bytes<const KEPT: u8>([u8; MAX_BYTES]);

impl<const KEPT: u8> AsMut<[u8]> for Bytes<KEPT> {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.iter_mut().for_each(|byte| *byte |= !KEPT);
        &mut self.0
    }
}

#[derive(Debug, Clone, Copy)]
struct LowBits;
#[derive(Debug, Clone, Copy)]
struct HighBits;

nix::getsockopt_impl!(
    LowBits,
    libc::SOL_SOCKET,
    libc::SO_PEERGROUPS,
    OsString,
    GetOsString<Bytes<LOW_BITS>>
);
nix::getsockopt_impl!(
    HighBits,
    libc::SOL_SOCKET,
    libc::SO_PEERGROUPS,
    OsString,
    GetOsString<Bytes<HIGH_BITS>>
);

/// The supplementary groups that the peer had when it connected (Linux 4.13). The kernel keeps them with
/// the connection, as it does the user id. So this neither follows a process id, which may be another
/// process's by now, nor asks the user database, which doesn't know the groups of a container or of a
/// systemd unit, and may be at the other end of a network.
///
/// # Errors
/// When the kernel can't say, or the groups are too many.
fn supplementary_groups(socket: &impl AsFd) -> Result<Vec<Gid>, Errno> {
    let low = getsockopt(socket, LowBits)?.into_vec();
    let high = getsockopt(socket, HighBits)?.into_vec();
    let bytes: Vec<_> =
        low.iter().zip(&high).map(|(low, high)| low & LOW_BITS | high & !LOW_BITS).collect();
    let (groups, _) = bytes.as_chunks();
    Ok(groups.iter().map(|group| Gid::from_raw(u32::from_ne_bytes(*group))).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use nix::unistd::getgroups;

    use super::*;

    #[test]
    fn only_root_the_server_itself_and_its_group_come_in() {
        let of = |groups: &[u32]| Ok(groups.iter().copied().map(Gid::from_raw).collect());
        let gate = Gate { own: Uid::from_raw(1000), group: None, itself: true };
        assert!(gate.admits_by(0, 0, || of(&[])) && gate.admits_by(1000, 7, || of(&[])));
        assert!(
            !gate.admits_by(1001, 1000, || of(&[1000])) && !gate.admits_by(1001, 0, || of(&[0]))
        );
        // A user that no database knows, such as systemd's dynamic ones.
        let gate = Gate { group: Some(Gid::from_raw(77)), ..gate };
        assert!(gate.admits_by(4_000_001, 77, || of(&[])));
        assert!(gate.admits_by(4_000_001, 78, || of(&[5, 77])));
        assert!(!gate.admits_by(4_000_001, 78, || of(&[5, 7])));
        assert!(!gate.admits_by(4_000_001, 78, || Err(Errno::ENOPROTOOPT)), "it can't be known");
    }

    #[test]
    fn the_groups_of_a_peer_are_those_of_its_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let mut own = getgroups().unwrap();
        let mut found = supplementary_groups(&one).unwrap();
        own.sort_unstable_by_key(|group| group.as_raw());
        found.sort_unstable_by_key(|group| group.as_raw());
        assert_eq!(found, own);
    }
}
