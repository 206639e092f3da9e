//! Commands under way, and what they print.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::unistd::Pid;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct CtlOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command under way.
pub(crate) struct RunningCtl {
    child: Option<Child>,
}

impl RunningCtl {
    pub(crate) fn of(mut command: Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        Self { child: Some(child) }
    }

    /// Waits for its end, at most a minute.
    pub(crate) fn wait(mut self) -> CtlOutput {
        let mut child = self.child.take().expect("waited for once");
        let stdout = drain(child.stdout.take().expect("piped"));
        let stderr = drain(child.stderr.take().expect("piped"));
        let mut status = None;
        for _ in 0..6000 {
            status = child.try_wait().expect("child can be waited for");
            if status.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let output = CtlOutput {
            code: status.and_then(|status| status.code()).unwrap_or(-1),
            stdout: stdout.join().expect("stdout is read"),
            stderr: stderr.join().expect("stderr is read"),
        };
        assert!(status.is_some(), "the command did not end: {output:?}");
        output
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("not waited for");
        child.try_wait().expect("child can be waited for").is_some()
    }

    pub(crate) fn pid(&self) -> Pid {
        let id = self.child.as_ref().expect("not waited for").id();
        Pid::from_raw(i32::try_from(id).expect("pids are small"))
    }

    /// Ends it by force.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().expect("not waited for");
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for RunningCtl {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}
