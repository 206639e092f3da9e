//! What a switch would do, as `vhost ctl switch --plan` shows it.

use std::time::Duration;

use crate::cli::output::{Printer, health_cell, last_answer};
use crate::cli::table::{Cell, Table, Tone, count};
use crate::cli::time::span;
use crate::model::{BackendState, Capacity, HealthStatus, PlannedStep, SwitchPlan};

/// Shows the plan: moves, capacity, backends, warnings, and the command that applies it.
pub(super) fn show(printer: &mut Printer<'_>, plan: &SwitchPlan) {
    let now_ms = printer.now_ms();
    let tables = [moves(plan), capacity(plan), backends(plan, now_ms), facts(plan)];
    printer.show_all(plan, tables);
    match &plan.token {
        Some(token) => printer.note(&format!("to do this: vhost ctl switch --apply {token}")),
        None => printer.note("there is nothing to switch"),
    }
}

fn moves(plan: &SwitchPlan) -> Table {
    let mut table =
        Table::list(&["DOMAIN", "FROM", "TO", "IN-FLIGHT"]).shortening(&[(0, 16), (1, 8), (2, 8)]);
    for step in &plan.steps {
        table.row([
            step.domain.to_string().into(),
            step.from.as_str().into(),
            step.to.as_str().into(),
            in_flight(step).into(),
        ]);
    }
    table
}

fn in_flight(step: &PlannedStep) -> String {
    match step.web_sockets {
        0 => step.requests.to_string(),
        sockets => format!("{}, of it {}", step.requests, count(sockets, "WebSocket")),
    }
}

fn capacity(plan: &SwitchPlan) -> Table {
    let mut table =
        Table::list(&["TAG", "BACKENDS", "READY", "HEALTHY", "WEIGHT"]).shortening(&[(0, 8)]);
    for Capacity { tag, total, ready, healthy, weight } in &plan.capacity {
        let tone = match *healthy {
            0 => Tone::Bad,
            some if some < *ready => Tone::Unsure,
            _ => Tone::Good,
        };
        table.row([
            tag.as_str().into(),
            total.to_string().into(),
            ready.to_string().into(),
            Cell::toned(healthy.to_string(), tone),
            weight.to_string().into(),
        ]);
    }
    table
}

fn backends(plan: &SwitchPlan, now_ms: u64) -> Table {
    let mut table = Table::list(&["BACKEND", "TAG", "STATE", "HEALTH", "LAST ANSWER"])
        .shortening(&[(4, 16), (0, 16), (1, 8)]);
    for backend in &plan.backends {
        let health = match backend.state {
            BackendState::Ready | BackendState::Draining => health_cell(backend.health.status),
            BackendState::Disabled => health_cell(HealthStatus::Unknown),
        };
        table.row([
            backend.id.as_str().into(),
            backend.tag.as_str().into(),
            backend.state.as_str().into(),
            health,
            last_answer(&backend.health, now_ms).into(),
        ]);
    }
    table
}

fn facts(plan: &SwitchPlan) -> Table {
    let mut table = Table::facts();
    if plan.token.is_some() {
        let gate = span(Duration::from_millis(plan.gate_timeout_ms));
        table.fact("gate", format!("at most {gate}"));
        let drain = plan.drain_timeout_ms.map(|ms| span(Duration::from_millis(ms)));
        let drain = drain.map_or("not waited for".to_owned(), |drain| format!("at most {drain}"));
        table.fact("drain", drain);
    }
    for warning in &plan.warnings {
        table.fact("warning", Cell::toned(warning, Tone::Unsure));
    }
    table
}
