//! The supplementary groups of the process at the other end of a Unix socket, as Linux keeps them with the
//! connection (`SO_PEERGROUPS`, Linux 4.13). `nix` and `rustix` don't read this option.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The most groups that Linux gives a process (`NGROUPS_MAX`).
pub const MAX_GROUPS: usize = 65_536;

/// How many groups are asked for at first.
const FIRST_CAPACITY: usize = 64;

/// The supplementary groups that the peer of `socket` had when it connected, or when it began to listen if
/// `socket` is the client's end. An id that the caller's user namespace doesn't map is the one in
/// `/proc/sys/kernel/overflowgid`.
///
/// # Errors
/// When `socket` isn't a connected Unix socket, or the kernel has no such option.
pub fn peer_groups(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    read_groups(socket.as_fd(), FIRST_CAPACITY)
}

fn read_groups(socket: BorrowedFd<'_>, first_capacity: usize) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; first_capacity];
    loop {
        match read_into(socket, &mut groups) {
            Ok(count) => {
                groups.truncate(count);
                return Ok(groups);
            }
            Err(error)
                if error.raw_os_error() == Some(libc::ERANGE) && groups.len() < MAX_GROUPS =>
            {
                let larger = (groups.len() * 4).clamp(1, MAX_GROUPS);
                groups.resize(larger, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads the groups into `groups`, and returns how many there are.
///
/// # Errors
/// With `ERANGE` when there are more than fit.
fn read_into(socket: BorrowedFd<'_>, groups: &mut [libc::gid_t]) -> io::Result<usize> {
    let capacity = size_of_val(groups);
    let mut length = libc::socklen_t::try_from(capacity).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "the standard library has no safe call for this option")]
    // SAFETY: `socket` is open as long as it is borrowed. `groups` is initialised memory of `length` bytes
    // that nothing else refers to, the kernel writes no more than `length` bytes, and any bytes are a
    // `gid_t`. `length` outlives the call.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if length > capacity || length % size_of::<libc::gid_t>() != 0 {
        return Err(io::Error::other("the kernel returned a length that is no list of groups"));
    }
    Ok(length / size_of::<libc::gid_t>())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// The groups of this process, as `/proc` has them.
    fn own_groups() -> Vec<u32> {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        line.split_whitespace().map(|group| group.parse().unwrap()).collect()
    }

    fn sorted(mut groups: Vec<u32>) -> Vec<u32> {
        groups.sort_unstable();
        groups
    }

    #[test]
    fn the_groups_of_a_peer_are_those_of_its_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(sorted(peer_groups(&one).unwrap()), sorted(own_groups()));
    }

    #[test]
    fn more_groups_than_asked_for_are_asked_for_again() {
        let (one, _other) = UnixStream::pair().unwrap();
        let found = read_groups(one.as_fd(), 0).unwrap();
        assert_eq!(sorted(found), sorted(own_groups()));
        if !own_groups().is_empty() {
            let error = read_into(one.as_fd(), &mut []).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ERANGE));
        }
    }

    #[test]
    fn a_socket_without_a_peer_process_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(peer_groups(&listener).is_err());
    }
}
