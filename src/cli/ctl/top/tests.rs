use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::look::Look;
use super::model::{Action, Message, Model, Planned};
use super::verb::{frame, text_of};
use super::view;
use crate::model::{DomainName, StatsSort, StatsWindow, SwitchProgress};

fn figures(rate: f64) -> Value {
    json!({
        "requests": 600, "in_flight": 1, "rate": rate, "errors": 0, "error_share": 0.0,
        "p50_ms": 12.0, "p90_ms": 80.0, "p99_ms": 140.0, "received_bytes": 0, "sent_bytes": 5000,
        "received_rate": 0.0, "sent_rate": 83.3, "retries": 0, "a_figure_to_come": 1,
    })
}

fn domain(name: &str, live: &str, rate: f64) -> Value {
    json!({
        "domain": name, "mode": "serving", "live": live, "figures": figures(rate), "recent_rates": [0.0, rate],
        "tags": [
            { "tag": live, "live": true, "figures": figures(rate) },
            { "tag": "old", "live": false, "figures": figures(0.0) },
        ],
        "previous": "old",
    })
}

fn report(domains: &[Value]) -> Value {
    json!({
        "revision": 7, "uptime_ms": 90_000, "window_ms": 60_000, "covered_ms": 62_000,
        "total": figures(30.0), "recent_rates": [], "domains": domains, "more_domains": 0,
        "backends": [
            {
                "id": "web-1", "address": "127.0.0.1:1", "tags": ["a"], "state": "ready",
                "health": "unhealthy", "reason": "connection refused", "figures": figures(0.0),
            },
            {
                "id": "web-2", "address": "127.0.0.1:2", "tags": ["b"], "state": "quarantined",
                "health": "healthy", "figures": figures(30.0),
            },
        ],
        "more_backends": 0,
    })
}

fn name(name: &str) -> DomainName {
    name.parse().unwrap()
}

fn told(model: &mut Model, of: Option<&str>, domains: &[Value]) -> Action {
    let report = serde_json::from_value(report(domains)).unwrap();
    model.update(Message::Report { of: of.map(name), report: Box::new(report) })
}

fn model() -> Model {
    let mut model = Model::new(None, StatsWindow::Minute);
    told(&mut model, None, &[domain("example.com", "a", 20.0), domain("shop.test", "b", 10.0)]);
    let event = json!({
        "id": 3, "revision": 7, "at_ms": 1_782_907_200_000_u64, "actor": { "via": "file" },
        "kind": "domain_added", "domain": "shop.test", "live": "b",
    });
    model.update(Message::Event(Box::new(serde_json::from_value(event).unwrap())));
    model
}

fn press(model: &mut Model, code: KeyCode) -> Action {
    model.update(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn types(model: &mut Model, keys: &str) {
    keys.chars().for_each(|key| drop(press(model, KeyCode::Char(key))));
}

fn screen(model: &Model, columns: u16, lines: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| view::draw(frame, model, Look { color: true }, false)).unwrap();
    text_of(terminal.backend().buffer())
}

fn plan(undo: bool) -> Message {
    let plan = json!({
        "revision": 7, "unchanged": [], "backends": [], "gate_timeout_ms": 1,
        "drain_timeout_ms": 1, "warnings": ["one backend of `b` is down"], "token": "T",
        "steps": [
            { "domain": "example.com", "from": "a", "to": "b", "requests": 3, "web_sockets": 0 },
        ],
        "capacity": [{ "tag": "b", "total": 2, "ready": 2, "healthy": 1, "weight": 1 }],
    });
    let plan = serde_json::from_value(plan).unwrap();
    Message::Planned(Box::new(Planned { domain: name("example.com"), undo, plan }))
}

#[test]
fn a_frame_shows_domains_backends_and_events() {
    let expected = "\
vhost  30/s  0% errors  p50 12ms  p99 140ms  1 in flight  last 60 s, by rate
DOMAIN                     LIVE  RATE/S ERRORS    P50    P99 FLIGHT LAST MINUTE
example.com                old→a     20     0%   12ms  140ms      1           ▁█
shop.test                  old→b     10     0%   12ms  140ms      1           ▁█

BACKEND TAGS HEALTH    RATE/S ERRORS    P99 FLIGHT REASON
web-1   a    unhealthy      0     0%  140ms      1 connection refused
web-2   b    quar…ined     30     0%  140ms      1

TIME            WHO         WHAT
07-01 12:00:00Z config file shop.test added, live b
";
    assert_eq!(frame(&model(), 80), expected);
}

#[test]
fn a_domain_that_does_not_serve_says_so() {
    let mut model = Model::new(None, StatsWindow::Minute);
    let mut paused = domain("xn--bcher-kva.example", "a", 20.0);
    paused["mode"] = "paused".into();
    told(&mut model, None, &[paused.clone(), domain("shop.test", "b", 10.0)]);
    let shown = frame(&model, 80);
    let rows: Vec<_> = shown.lines().skip(1).take(3).collect();
    assert_eq!(
        rows,
        [
            "DOMAIN                      LIVE  MODE        RATE/S ERRORS    P50    P99 FLIGHT",
            "bücher.example              old→a paused          20     0%   12ms  140ms      1",
            "shop.test                   old→b serving         10     0%   12ms  140ms      1",
        ]
    );
    types(&mut model, "/büch");
    assert_eq!(model.domains().len(), 1, "it is found as it is shown");
    let mut open = Model::new(Some(name("bücher.example")), StatsWindow::Minute);
    told(&mut open, Some("bücher.example"), &[paused]);
    let shown = frame(&open, 80);
    assert!(shown.contains("bücher.example  live a, before it old  paused  "), "{shown}");
}

#[test]
fn every_size_has_a_frame() {
    let mut model = model();
    for keys in ["", "?", "x/shop", "\u{0}"] {
        types(&mut model, keys);
        for (columns, lines) in [(1, 1), (2, 3), (20, 5), (33, 9), (80, 24), (300, 100)] {
            let text = screen(&model, columns, lines);
            assert_eq!(text.lines().count(), usize::from(lines));
        }
    }
}

#[test]
fn on_a_small_screen_the_domains_stay() {
    let text = screen(&model(), 40, 6);
    assert!(text.contains("example.com") && text.contains("shop.test"), "{text}");
    let text = screen(&model(), 24, 3);
    assert!(text.contains("DOMAIN"), "{text}");
}

#[test]
fn the_cursor_stays_on_its_domain_and_in_sight() {
    let mut model = model();
    let many: Vec<_> = (0..60).map(|n| domain(&format!("d{n:02}.test"), "a", 1.0)).collect();
    told(&mut model, None, &many);
    assert_eq!(model.cursor(), Some(0));
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Char('j'));
    press(&mut model, KeyCode::Up);
    assert_eq!(model.cursor(), Some(1));
    press(&mut model, KeyCode::PageDown);
    press(&mut model, KeyCode::PageDown);
    assert!(screen(&model, 80, 24).contains("d21.test"));
    let turned: Vec<_> = many.iter().rev().cloned().collect();
    told(&mut model, None, &turned);
    assert_eq!(model.cursor(), Some(38), "where `d21.test` is now");
    press(&mut model, KeyCode::End);
    assert!(screen(&model, 80, 24).contains("d00.test"));
    press(&mut model, KeyCode::Home);
    assert_eq!(model.cursor(), Some(0));
}

#[test]
fn enter_opens_a_domain_and_escape_leaves_it() {
    let mut model = model();
    press(&mut model, KeyCode::Down);
    assert_eq!(press(&mut model, KeyCode::Enter), Action::Ask);
    assert_eq!(model.question().domain, Some(name("shop.test")));
    told(&mut model, None, &[domain("late.test", "a", 1.0)]);
    assert!(!screen(&model, 80, 24).contains("late.test"), "the answer to the question before");
    told(&mut model, Some("shop.test"), &[domain("shop.test", "b", 10.0)]);
    let text = screen(&model, 80, 24);
    for part in ["shop.test  live b, before it old", "b (live)", "old (draining)", "p90"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(press(&mut model, KeyCode::Esc), Action::Ask);
    assert_eq!(model.question().domain, None);
    press(&mut model, KeyCode::Enter);
    let gone = model.open.clone().unwrap();
    assert_eq!(model.update(Message::Gone(gone)), Action::Ask);
    assert!(screen(&model, 80, 24).contains("shop.test was removed"));
}

#[test]
fn an_alias_opens_its_domain() {
    let mut model = Model::new(Some(name("www.shop.test")), StatsWindow::Minute);
    let action = told(&mut model, Some("www.shop.test"), &[domain("shop.test", "b", 10.0)]);
    assert_eq!(action, Action::Ask);
    assert_eq!(model.question().domain, Some(name("shop.test")));
    assert!(model.opened().is_some());
}

#[test]
fn a_search_leaves_what_has_it() {
    let mut model = model();
    types(&mut model, "/SHO");
    assert_eq!(model.domains().len(), 1);
    assert!(screen(&model, 80, 24).contains("/sho▏"));
    press(&mut model, KeyCode::Enter);
    assert_eq!(press(&mut model, KeyCode::Char('q')), Action::Quit, "no letter any more");
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.domains().len(), 2);
    types(&mut model, "/zz");
    assert!(screen(&model, 80, 24).contains("no domain or live tag contains `zz`"));
    assert_eq!(press(&mut model, KeyCode::Enter), Action::Ask);
    assert_eq!(press(&mut model, KeyCode::Char('S')), Action::None, "there is nothing to switch");
}

#[test]
fn a_switch_is_planned_then_asked_about_then_made() {
    let mut model = model();
    let planning = Action::Plan { domain: name("example.com"), tag: None, undo: false };
    assert_eq!(press(&mut model, KeyCode::Char('S')), planning);
    assert_eq!(press(&mut model, KeyCode::Char('S')), Action::None, "it is being planned");
    model.update(plan(false));
    let text = screen(&model, 80, 24);
    let question = "switch example.com a → b, 1 of 2 backends healthy, 3 requests to drain?\n\
                    y yes  n no  warning: one backend of `b` is down\n";
    assert!(text.ends_with(question), "{text}");
    assert!(screen(&model, 80, 8).contains("y yes"), "also where there is little room");
    assert_eq!(press(&mut model, KeyCode::Enter), Action::None, "Enter is no yes");
    assert_eq!(press(&mut model, KeyCode::Char('y')), Action::Apply("T".to_owned()));
    model.update(Message::Phase(SwitchProgress::Draining {
        remaining: 3,
        web_sockets: 0,
        ended_in_ms: None,
    }));
    assert!(screen(&model, 80, 24).contains("draining: 3 requests left"));
    let ended = Message::Ended("example.com a → b: done".to_owned(), true);
    assert_eq!(model.update(ended), Action::Ask);
    assert!(screen(&model, 80, 24).contains("example.com a → b: done"));
}

#[test]
fn a_no_changes_nothing() {
    let mut model = model();
    press(&mut model, KeyCode::Char('S'));
    model.update(plan(false));
    assert_eq!(press(&mut model, KeyCode::Esc), Action::None);
    assert!(screen(&model, 80, 24).contains("nothing was changed"));
}

#[test]
fn an_undo_goes_to_the_tag_before() {
    let mut model = model();
    let planning = |model: &mut Model| press(model, KeyCode::Char('u'));
    let tag = Some("old".parse().unwrap());
    let expected = Action::Plan { domain: name("example.com"), tag, undo: true };
    assert_eq!(planning(&mut model), expected);
    model.update(plan(true));
    assert!(screen(&model, 80, 24).contains("undo example.com a → b"));
    assert_eq!(press(&mut model, KeyCode::Char('y')), Action::Undo(name("example.com")));

    let mut never = domain("example.com", "a", 1.0);
    never["previous"] = Value::Null;
    let mut model = Model::new(None, StatsWindow::Minute);
    told(&mut model, None, &[never]);
    assert_eq!(planning(&mut model), Action::None);
    assert!(screen(&model, 80, 24).contains("there is nothing to undo"));
}

#[test]
fn where_the_other_tag_is_not_clear_it_is_asked_for() {
    let mut model = model();
    press(&mut model, KeyCode::Char('S'));
    let why = "`example.com` has no other tag".to_owned();
    model.update(Message::Unplanned { domain: name("example.com"), why, tag_was_named: false });
    types(&mut model, "bx");
    press(&mut model, KeyCode::Backspace);
    let text = screen(&model, 80, 24);
    assert!(text.contains("switch example.com to which tag (b)? b▏"), "{text}");
    let tag = Some("b".parse().unwrap());
    let planning = Action::Plan { domain: name("example.com"), tag, undo: false };
    assert_eq!(press(&mut model, KeyCode::Enter), planning);
}

#[test]
fn a_server_that_is_gone_is_told_until_it_is_back() {
    let mut model = model();
    model.update(Message::Lost("no server at `x`".to_owned()));
    let text = screen(&model, 80, 24);
    assert!(text.starts_with("vhost: no server at `x`; trying again\n"), "{text}");
    assert!(text.contains("example.com"), "what was known stays");
    told(&mut model, None, &[domain("example.com", "a", 20.0)]);
    assert!(screen(&model, 80, 24).starts_with("vhost  30/s"));
}

#[test]
fn keys_change_the_question() {
    let mut model = model();
    assert_eq!(press(&mut model, KeyCode::Char('s')), Action::Ask);
    assert_eq!(press(&mut model, KeyCode::Char('w')), Action::Ask);
    let question = model.question();
    assert_eq!((question.sort, question.window_secs), (StatsSort::Errors, StatsWindow::Start));
    for _ in 0..4 {
        press(&mut model, KeyCode::Char('s'));
    }
    assert_eq!(model.question().sort, StatsSort::Rate);
    let stop = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    types(&mut model, "/");
    assert_eq!(model.update(Message::Key(stop)), Action::Quit, "whatever the mode");
}

#[test]
fn without_colour_there_is_none() {
    let mut model = model();
    model.update(plan(false));
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| view::draw(frame, &model, Look { color: false }, false)).unwrap();
    let plain = ratatui::style::Color::Reset;
    let buffer = terminal.backend().buffer();
    assert!(buffer.content.iter().all(|cell| cell.fg == plain && cell.bg == plain));
}

fn trial() -> Message {
    let side = |requests: u64, failed: f64| {
        json!({
            "requests": requests, "failures": 3, "failed_percent": failed, "p95_ms": 12.0,
        })
    };
    let trial = json!({
        "id": 7, "kind": "rollout", "domains": ["example.com"], "from": "a", "to": "old",
        "began_ms": 1_782_907_200_000_u64,
        "rollout": {
            "steps": "10%:5m,50%:5m", "step": 1, "share": 10, "is_paused": false, "left_ms": 90_000,
        },
        "evidence": {
            "new": side(200, 1.5), "old": side(1_800, 0.1), "finding": "pass",
            "reason": "no worse so far",
        },
    });
    Message::Trials(vec![serde_json::from_value(trial).unwrap()])
}

#[test]
fn a_rollout_has_both_tags_side_by_side_with_the_verdict() {
    let mut model = model();
    model.update(trial());
    let expected = "\
ON TRIAL                     SHARE RATE/S REQUESTS  FAILED    P95
example.com: rollout a → old, step 1 of 2, 90 s left
  a                            90%     20     1800    0.1%   12ms
  old                          10%      0      200    1.5%   12ms
  no worse: no worse so far
";
    let frame = frame(&model, 80);
    assert!(frame.contains(expected), "{frame}");
    let screen = screen(&model, 80, 24);
    assert!(screen.contains(expected), "{screen}");
    assert!(screen.contains("a abort  p promote"), "{screen}");
}

#[test]
fn one_key_ends_a_rollout_after_a_confirmation() {
    let mut model = model();
    assert_eq!(press(&mut model, KeyCode::Char('a')), Action::None);
    assert!(screen(&model, 80, 24).contains("nothing is on trial here"));
    model.update(trial());
    for (key, action) in
        [('a', Action::Abort(name("example.com"))), ('p', Action::Promote(name("example.com")))]
    {
        press(&mut model, KeyCode::Char(key));
        assert!(screen(&model, 80, 24).contains("y yes  n no"));
        assert_eq!(press(&mut model, KeyCode::Char('n')), Action::None);
        press(&mut model, KeyCode::Char(key));
        assert_eq!(press(&mut model, KeyCode::Char('y')), action);
        model.update(Message::Ended("done".to_owned(), true));
    }
}
