//! Either process is killed at any moment of an upgrade: one server serves, and the state is whole.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

const UPGRADES: u64 = 12;

#[test]
fn whichever_process_is_killed_one_server_serves_and_the_state_is_whole() {
    let backends = backends();
    let vhost = site(&backends).lifetime(Duration::from_mins(3)).start();
    vhost.wait_until_healthy(2);
    let mut acknowledged = 0;
    for number in 0..UPGRADES {
        let old = Pid::from_raw(serving(&vhost).try_into().unwrap());
        let upgrade = vhost.ctl_in_background(&["upgrade"]);
        let others = || vhost.processes().into_iter().filter(|pid| *pid != old).collect::<Vec<_>>();
        let new = eventually_some("the new process runs", SOON, || others().first().copied());
        // An upgrade takes a tenth of a second where nobody disturbs it.
        std::thread::sleep(Duration::from_millis(fastrand::u64(..150)));
        let victim = if number % 2 == 0 { new } else { old };
        let _ = kill(victim, Signal::SIGKILL);
        upgrade.wait();
        eventually("one server serves", SOON, || {
            let info = vhost.rpc_connection_if_any().and_then(|mut connection| {
                connection.try_call("state.get", &json!({}), |_| {}).ok()?.ok()
            });
            info.is_some_and(|info| info["pid"] != i64::from(victim.as_raw()))
        });
        assert_eq!(vhost.get(HOST, "/").status, 200);
        let tag = if number % 2 == 0 { "b" } else { "a" };
        vhost.ctl_ok(&["switch", HOST, tag]);
        acknowledged += 1;
        assert_eq!(vhost.get(HOST, "/").backend(), Some(&*format!("{tag}1")), "upgrade {number}");
        assert_eq!(vhost.live(HOST), tag);
    }
    let events = vhost.rpc("event.list", json!({ "limit": 100 })).expect("event.list");
    let switches = events["events"].as_array().expect("a list").iter();
    assert_eq!(switches.filter(|event| event["kind"] == "switch").count(), acknowledged);
    eventually("only one process is left", SOON, || vhost.processes().len() == 1);
}
