//! The cases, in the order in which they are measured.

mod domains;
mod features;
mod memory;
mod requests;
mod start;
mod switch;
mod unread;

use crate::lab::Lab;
use crate::proxy::Proxy;
use crate::table::Table;

/// Something that is measured of everybody who can do it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Whether a quick run has it.
    pub(crate) is_core: bool,
    pub(crate) measure: Box<dyn Fn(&Lab) -> Table>,
}

pub(crate) fn all() -> Vec<Case> {
    let case = |name, is_core, measure: fn(&Lab) -> Table| Case {
        name,
        is_core,
        measure: Box::new(measure),
    };
    let requests = requests::CASES.iter().map(|work| Case {
        name: work.name,
        is_core: work.is_core,
        measure: Box::new(|lab| requests::measure(lab, work)),
    });
    let sizes = domains::SIZES.iter().map(|(name, count)| Case {
        name,
        is_core: false,
        measure: Box::new(|lab| domains::measure(lab, name, *count)),
    });
    let others = [
        case("idle", true, memory::plain),
        case("idle-tls", false, memory::tls),
        case("switch", true, switch::beside_reloads),
        case("switch-rate", false, switch::at_a_rate),
        case("cold-start", true, start::measure),
        case("features", false, features::measure),
        case("unread-streams", false, unread::measure),
    ];
    requests.chain(sizes).chain(others).collect()
}

/// The columns of a table: those who take part, vhost first.
fn columns(lab: &Lab, takes_part: impl Fn(Proxy) -> bool) -> Vec<(&'static str, bool)> {
    let those = lab.proxies.iter().filter(|proxy| takes_part(**proxy));
    those.map(|proxy| (proxy.name(), proxy.is_peer())).collect()
}
