//! Where tests end the process in the middle of a step, as a power cut does.

/// Ends the process by SIGKILL where the variable `FAILPOINTS` says `NAME=return`.
///
/// Only tests are built so that it is read: their build turns `failpoints` of the crate `fail` on. In
/// every other build this is empty.
pub(crate) fn crash_point(name: &str) {
    if fail::has_failpoints() {
        reached(name);
    }
}

fn reached(name: &str) {
    static READ: std::sync::Once = std::sync::Once::new();
    // What it would undo when it is dropped is wanted until the end.
    READ.call_once(|| std::mem::forget(fail::FailScenario::setup()));
    // The macro is empty in other builds, and so does not use it.
    let _ = name;
    fail::fail_point!(name, |_| {
        // Nothing after it runs in this thread.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    });
}
