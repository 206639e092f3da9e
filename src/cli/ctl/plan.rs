//! What a switch would do, as `vhost ctl switch --plan` shows it.

use std::time::Duration;

use crate::cli::output::{Printer, health_cell, last_answer};
use crate::cli::table::{Cell, Table, Tone, count};
use crate::cli::time::span;
use crate::model::{
    BackendState, Capacity, HealthStatus, PlannedBackend, PlannedEnd, PlannedStep, SwitchPlan,
    with_unicode_names,
};

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
    let row = |step: &PlannedStep| {
        [
            ("DOMAIN", step.domain.shown().into()),
            ("FROM", step.from.as_str().into()),
            ("TO", step.to.as_str().into()),
            ("IN-FLIGHT", in_flight(step).into()),
        ]
    };
    Table::of(&plan.steps, row).shortening(&[(0, 16), (1, 8), (2, 8)])
}

fn in_flight(step: &PlannedStep) -> String {
    if step.web_sockets == 0 {
        return step.requests.to_string();
    }
    let sockets = format!("{}, of it {}", step.requests, count(step.web_sockets, "WebSocket"));
    let time = |ms| span(Duration::from_millis(ms));
    match step.ends {
        None => sockets,
        Some(PlannedEnd { first_ms, last_ms }) => {
            format!("{sockets}, closed after {} to {}", time(first_ms), time(last_ms))
        }
    }
}

fn capacity(plan: &SwitchPlan) -> Table {
    let row = |Capacity { tag, app, total, ready, healthy, weight }: &Capacity| {
        [
            (
                "TAG",
                app.as_ref().map_or_else(|| tag.to_string(), |app| format!("{app}/{tag}")).into(),
            ),
            ("BACKENDS", total.to_string().into()),
            ("READY", ready.to_string().into()),
            ("HEALTHY", Cell::toned(healthy.to_string(), Tone::of_pool(*healthy, *ready))),
            ("WEIGHT", weight.to_string().into()),
        ]
    };
    Table::of(&plan.capacity, row).shortening(&[(0, 8)])
}

fn backends(plan: &SwitchPlan, now_ms: u64) -> Table {
    let row = |backend: &PlannedBackend| {
        let health = match backend.state {
            BackendState::Ready | BackendState::Draining => health_cell(backend.health.status),
            BackendState::Disabled => health_cell(HealthStatus::Unknown),
        };
        [
            ("BACKEND", backend.id.as_str().into()),
            ("TAG", backend.tag.as_str().into()),
            ("STATE", backend.state.as_str().into()),
            ("HEALTH", health),
            ("LAST ANSWER", last_answer(&backend.health, now_ms).into()),
        ]
    };
    Table::of(&plan.backends, row).shortening(&[(4, 16), (0, 16), (1, 8)])
}

fn facts(plan: &SwitchPlan) -> Table {
    let mut table = Table::facts();
    if plan.token.is_some() {
        let gate = span(Duration::from_millis(plan.gate_timeout_ms));
        table.fact("gate", format!("at most {gate}"));
        let drain = plan.drain_timeout_ms.map(|ms| span(Duration::from_millis(ms)));
        let drain = drain.map_or("not waited for".to_owned(), |drain| format!("at most {drain}"));
        table.fact("drain", drain);
        for hook in &plan.before {
            table.fact("asks", format!("hook {hook}, after the gate"));
        }
    }
    for warning in &plan.warnings {
        table.fact("warning", Cell::toned(with_unicode_names(warning), Tone::Unsure));
    }
    table
}
