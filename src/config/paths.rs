//! Where the admin socket and the state are when nobody says: under systemd, as root, as a user.

use std::path::PathBuf;

/// What the defaults depend on, so that tests can bring their own.
pub(super) struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    uid: u32,
}

impl<'a> Environment<'a> {
    /// An environment with these variables, as seen by the user `uid`.
    pub(super) fn new(variable: &'a dyn Fn(&str) -> Option<String>, uid: u32) -> Self {
        Self { variable, uid }
    }

    /// The environment of this process.
    pub(super) fn of_process() -> Self {
        Self::new(&variable, nix::unistd::geteuid().as_raw())
    }

    /// What a variable holds, where it is set and text.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// Whether a variable, of systemd or of the session, decides where the admin socket is.
    pub(super) fn decides_admin_socket(&self) -> bool {
        self.admin_socket() != Self::new(&|_| None, self.uid).admin_socket()
    }

    /// Whether a variable, of systemd or XDG's, decides where the state is.
    pub(super) fn decides_state_dir(&self) -> bool {
        self.systemd_directory("STATE_DIRECTORY").is_some()
            || (self.uid != 0 && self.absolute("XDG_STATE_HOME").is_some())
    }

    /// Where the admin socket is: beside nothing else of value, in a directory that goes with the
    /// service, the boot or the login session.
    pub(super) fn admin_socket(&self) -> PathBuf {
        let directory = if let Some(given) = self.systemd_directory("RUNTIME_DIRECTORY") {
            given
        } else if self.uid == 0 {
            "/run/vhost".into()
        } else if let Some(session) = self.absolute("XDG_RUNTIME_DIR") {
            session.join("vhost")
        } else {
            // Not `vhost` alone: the first user to come would own it for all.
            format!("/tmp/vhost-{}", self.uid).into()
        };
        directory.join("admin.sock")
    }

    /// Where the state is kept; `None` for a user without a home.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        if let Some(given) = self.systemd_directory("STATE_DIRECTORY") {
            Some(given)
        } else if self.uid == 0 {
            Some("/var/lib/vhost".into())
        } else {
            self.absolute("XDG_STATE_HOME")
                .or_else(|| self.absolute("HOME").map(|home| home.join(".local/state")))
                .map(|base| base.join("vhost"))
        }
    }

    /// systemd names every directory of the unit, separated by `:` (systemd.exec(5)).
    fn systemd_directory(&self, name: &str) -> Option<PathBuf> {
        let value = (self.variable)(name)?;
        let first = value.split(':').next().unwrap_or_default();
        absolute(first)
    }

    /// The XDG specification wants relative paths ignored; an empty variable counts as unset.
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        absolute(&(self.variable)(name)?)
    }
}

/// What a variable of this process's environment holds, where it is set and text.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn absolute(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    path.is_absolute().then_some(path)
}

/// Where the admin socket of this user's server is when nobody says. The client asks the same.
pub(crate) fn default_admin_socket() -> PathBuf {
    Environment::of_process().admin_socket()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(uid: u32, variables: &[(&str, &str)]) -> (String, Option<String>) {
        let variable =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let environment = Environment::new(&variable, uid);
        let text = |path: PathBuf| path.display().to_string();
        (text(environment.admin_socket()), environment.state_dir().map(text))
    }

    #[test]
    fn systemd_decides_first_and_its_first_directory_counts() {
        let found = paths(
            0,
            &[("RUNTIME_DIRECTORY", "/run/edge:/run/other"), ("STATE_DIRECTORY", "/var/lib/edge")],
        );
        assert_eq!(found, ("/run/edge/admin.sock".into(), Some("/var/lib/edge".into())));
    }

    #[test]
    fn root_has_the_system_directories_whatever_its_session_says() {
        let found = paths(0, &[("XDG_RUNTIME_DIR", "/run/user/0"), ("HOME", "/root")]);
        assert_eq!(found, ("/run/vhost/admin.sock".into(), Some("/var/lib/vhost".into())));
    }

    #[test]
    fn a_user_has_the_session_and_the_home() {
        let found = paths(7, &[("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/home/u")]);
        let state = "/home/u/.local/state/vhost";
        assert_eq!(found, ("/run/user/7/vhost/admin.sock".into(), Some(state.into())));
        let (_, state) = paths(7, &[("XDG_STATE_HOME", "/s"), ("HOME", "/home/u")]);
        assert_eq!(state.as_deref(), Some("/s/vhost"));
    }

    #[test]
    fn empty_and_relative_variables_count_as_unset() {
        let found = paths(
            7,
            &[("RUNTIME_DIRECTORY", ""), ("XDG_RUNTIME_DIR", "run"), ("HOME", ""), ("STATE", "x")],
        );
        assert_eq!(found, ("/tmp/vhost-7/admin.sock".into(), None));
    }
}
