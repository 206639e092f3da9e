//! What the demo prints.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::stage::Running;
use super::traffic::{DOMAIN, Site, Tally};
use crate::model::SwitchReport;

/// One switch of the tour.
pub(super) struct Leg {
    /// The tag that it went to.
    pub(super) to: &'static str,
    /// The server's report.
    pub(super) switched: SwitchReport,
    /// From its acknowledgement to the first answer of the new tag.
    pub(super) first: Option<Duration>,
}

/// The results of the tour.
pub(super) struct Report {
    pub(super) there: Leg,
    pub(super) back: Leg,
    pub(super) totals: Tally,
}

/// Prints the introduction.
pub(super) fn introduce(
    talk: &mut impl Write,
    site: &Site,
    backends: &[Running],
) -> io::Result<()> {
    writeln!(talk, "vhost demo: two versions of a site, and a switch under traffic\n")?;
    places(talk, site, backends)?;
    writeln!(talk, "\nsending requests, switching a → b, then back …\n")
}

/// Prints where everything is.
pub(super) fn places(talk: &mut impl Write, site: &Site, backends: &[Running]) -> io::Result<()> {
    writeln!(talk, "  proxy     http://{DOMAIN}:{}", site.http.port())?;
    writeln!(talk, "            https://{DOMAIN}:{}", site.https.port())?;
    for Running { plan, address } in backends {
        let fails = match plan.failing {
            0 => String::new(),
            percent => format!(", fails {percent} of 100 requests"),
        };
        writeln!(talk, "  backend   {}  {address}  tag {}{fails}", plan.id, plan.tag)?;
    }
    Ok(())
}

impl Report {
    /// Whether no request failed, and each switch took effect.
    pub(super) fn none_failed(&self) -> bool {
        self.failed() == 0 && self.there.first.is_some() && self.back.first.is_some()
    }

    fn failed(&self) -> u64 {
        self.totals.failed.values().sum()
    }

    /// Prints the results.
    pub(super) fn tell(&self, talk: &mut impl Write) -> io::Result<()> {
        writeln!(talk, "  requests sent                     {}", self.totals.sent)?;
        writeln!(talk, "    over HTTPS                      {}", self.totals.over_https)?;
        writeln!(talk, "  failed                            {}", self.failed())?;
        for (reason, count) in &self.totals.failed {
            writeln!(talk, "    {count} × {reason}")?;
        }
        for (name, leg) in [("switch a → b", &self.there), ("undo   b → a", &self.back)] {
            let switched = &leg.switched;
            writeln!(talk, "\n  {name}")?;
            writeln!(talk, "    health checked in {} ms", switched.gate_ms)?;
            writeln!(
                talk,
                "    switched in                     {}",
                ms(switched.switch_ms.unwrap_or_default().get())
            )?;
            writeln!(talk, "    old version drained in          {} ms", switched.drain_ms)?;
            match leg.first {
                Some(first) => writeln!(
                    talk,
                    "    first answer from {}             {} after the switch",
                    leg.to,
                    ms(first)
                )?,
                None => writeln!(talk, "    no answer from {} within 5 s", leg.to)?,
            }
        }
        talk.flush()
    }
}

/// Prints what to try from another terminal.
pub(super) fn invite(talk: &mut impl Write, site: &Site, socket: &Path) -> io::Result<()> {
    let ctl = format!("{} ctl --socket {}", program(), socket.display());
    writeln!(talk, "\nThe server keeps running. Try from another terminal:\n")?;
    writeln!(talk, "  curl http://{DOMAIN}:{}/", site.http.port())?;
    let root = site.root.display();
    writeln!(talk, "  curl --cacert {root} https://{DOMAIN}:{}/", site.https.port())?;
    writeln!(talk, "  {ctl} status")?;
    writeln!(talk, "  {ctl} cert list")?;
    writeln!(talk, "  {ctl} switch {DOMAIN} b")?;
    writeln!(talk, "  {ctl} undo {DOMAIN}")?;
    writeln!(talk, "  {ctl} history\n")?;
    writeln!(talk, "Ctrl-C stops it and leaves nothing behind.")?;
    talk.flush()
}

/// Prints what to try after the rollouts.
pub(super) fn invite_to_rollouts(
    talk: &mut impl Write,
    site: &Site,
    socket: &Path,
) -> io::Result<()> {
    let ctl = format!("{} ctl --socket {}", program(), socket.display());
    writeln!(talk, "\nThe server and its traffic keep running. Try from another terminal:\n")?;
    writeln!(talk, "  {ctl} rollout start {DOMAIN} b --steps 10%:5s,50%:5s")?;
    writeln!(talk, "  {ctl} switch {DOMAIN} b --guard 10s")?;
    writeln!(talk, "  {ctl} split {DOMAIN} a=20%")?;
    writeln!(talk, "  {ctl} rollout status")?;
    writeln!(talk, "  {ctl} history")?;
    writeln!(talk, "  curl http://{DOMAIN}:{}/\n", site.http.port())?;
    writeln!(talk, "Ctrl-C stops it and leaves nothing behind.")?;
    talk.flush()
}

/// How this program was called, so that the lines can be typed as they are.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "vhost".into(), |path| path.display().to_string())
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
