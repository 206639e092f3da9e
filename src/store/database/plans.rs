//! Plans that wait to be applied: the newest, for a day.

use rusqlite::{OptionalExtension, params};

use super::Store;
use crate::clock::whole_millis;
use crate::model::KeptPlan;
use crate::store::StoreError;
use crate::store::retention::{MAX_PLAN_AGE, MAX_PLANS};
use crate::store::value::{signed, write};

/// The most bytes of all plans; the oldest go. The newest stays, whatever its size.
const MAX_BYTES: i64 = 8 << 20;

/// The alphabet of ids: no letter or digit that looks like another.
const ALPHABET: &[u8; 30] = b"23456789abcdefghjkmnpqrstvwxyz";
const BASE: u64 = ALPHABET.len() as u64;

/// How an id begins: with what tells it from other names.
const PREFIX: &str = "p";

/// The least digits of the number of a plan, and the letters that follow it. The number is never given
/// twice; the letters keep a mistyped id, or one of another server, from being somebody else's.
const MIN_DIGITS: usize = 5;
const CHECK_LETTERS: usize = 6;

impl Store {
    /// Keeps a plan, and returns its id.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn keep_plan(&mut self, plan: &KeptPlan, now_ms: u64) -> Result<String, StoreError> {
        let check: String =
            (0..CHECK_LETTERS).map(|_| letter(fastrand::usize(..ALPHABET.len()))).collect();
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO plans (check_text, made_ms, value) VALUES (?1, ?2, ?3)",
            params![check, signed(now_ms), write(plan)],
        )?;
        let number = transaction.last_insert_rowid();
        transaction.execute(
            "DELETE FROM plans WHERE made_ms < ?1 OR number IN (
                 SELECT number FROM (
                     SELECT number, row_number() OVER newest AS place,
                            sum(octet_length(value)) OVER newest AS bytes
                     FROM plans WINDOW newest AS (ORDER BY number DESC)
                 ) WHERE place > 1 AND (place > ?2 OR bytes > ?3)
             )",
            params![oldest(now_ms), MAX_PLANS, MAX_BYTES],
        )?;
        transaction.commit()?;
        Ok(format!("{PREFIX}{}{check}", digits(number.unsigned_abs())))
    }

    /// The plan with this id; `None` if there is none any more, or never was.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn plan(&self, id: &str, now_ms: u64) -> Result<Option<KeptPlan>, StoreError> {
        let Some((number, check)) = parts(id) else { return Ok(None) };
        let query =
            "SELECT value FROM plans WHERE number = ?1 AND check_text = ?2 AND made_ms >= ?3";
        let value: Option<String> = self
            .connection
            .query_row(query, params![number, check, oldest(now_ms)], |row| row.get(0))
            .optional()?;
        // What a newer version has planned, an older one can't carry out.
        Ok(value.map(|value| serde_json::from_str(&value).unwrap_or(KeptPlan::Unknown)))
    }
}

/// When the oldest plan that still counts was made.
fn oldest(now_ms: u64) -> i64 {
    signed(now_ms.saturating_sub(whole_millis(MAX_PLAN_AGE)))
}

fn letter(at: usize) -> char {
    char::from(ALPHABET[at % ALPHABET.len()])
}

/// A number in digits of the alphabet.
fn digits(number: u64) -> String {
    let mut digits = Vec::new();
    let mut rest = number;
    while rest > 0 || digits.len() < MIN_DIGITS {
        digits.push(letter(usize::try_from(rest % BASE).unwrap_or_default()));
        rest /= BASE;
    }
    digits.iter().rev().collect()
}

/// The number in an id, and the letters behind it.
fn parts(id: &str) -> Option<(i64, String)> {
    let id = id.trim().to_ascii_lowercase();
    let rest = id.strip_prefix(PREFIX).filter(|rest| rest.is_ascii() && rest.len() <= 32)?;
    let (digits, check) = rest.split_at_checked(rest.len().checked_sub(CHECK_LETTERS)?)?;
    if digits.len() < MIN_DIGITS {
        return None;
    }
    let mut number: u64 = 0;
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == digit)?;
        number = number.checked_mul(BASE)?.checked_add(u64::try_from(value).ok()?)?;
    }
    Some((i64::try_from(number).ok()?, check.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{PlannedSwitch, SwitchOptions, SwitchStep};

    const NOW: u64 = 1_782_907_200_000;

    fn plan(reason: &str) -> KeptPlan {
        KeptPlan::Switch(PlannedSwitch {
            steps: vec![SwitchStep {
                domain: "example.com".parse().unwrap(),
                from: "a".parse().unwrap(),
                to: "b".parse().unwrap(),
            }],
            options: SwitchOptions { reason: Some(reason.to_owned()), ..SwitchOptions::default() },
            fingerprint: u64::MAX,
        })
    }

    #[test]
    fn a_plan_is_found_by_its_id_also_by_another_process() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let id = store.keep_plan(&plan("one"), NOW).unwrap();
        let other = store.keep_plan(&plan("two"), NOW).unwrap();
        drop(store);
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.plan(&id, NOW).unwrap(), Some(plan("one")));
        let typed = format!(" {}\n", other.to_ascii_uppercase());
        assert_eq!(store.plan(&typed, NOW).unwrap(), Some(plan("two")));
        assert_eq!(id.len(), 12, "{id}");
        assert!(id.starts_with(PREFIX));
        assert!(id.bytes().skip(1).all(|byte| ALPHABET.contains(&byte)), "{id}");
        for wrong in ["", "p", "pp", "nonsense", &id[..11], &format!("{id}2"), "päääääääääää"]
        {
            assert_eq!(store.plan(wrong, NOW).unwrap(), None, "{wrong}");
        }
        let mixed = format!("{}{}", &id[..6], &other[6..]);
        assert_eq!(store.plan(&mixed, NOW).unwrap(), None, "a number with another's letters");
    }

    #[test]
    fn plans_are_kept_for_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let id = store.keep_plan(&plan("one"), NOW).unwrap();
        let age = whole_millis(MAX_PLAN_AGE);
        assert!(store.plan(&id, NOW + age).unwrap().is_some());
        assert_eq!(store.plan(&id, NOW + age + 1).unwrap(), None);
        store.keep_plan(&plan("two"), NOW + age + 1).unwrap();
        assert_eq!(count(&store), 1, "nor is its row there");
        // A clock that is set back makes none of them older.
        assert!(store.plan(&store_newest(&store), NOW).unwrap().is_some());
    }

    #[test]
    fn plans_are_bounded_in_number_and_size_and_no_id_is_used_twice() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let ids: Vec<_> =
            (0..=MAX_PLANS + 4).map(|_| store.keep_plan(&plan("one"), NOW).unwrap()).collect();
        assert_eq!(count(&store), usize::from(MAX_PLANS));
        assert_eq!(store.plan(&ids[4], NOW).unwrap(), None);
        assert!(store.plan(&ids[5], NOW).unwrap().is_some());
        // Each is three eighths of what there is room for.
        let large = "x".repeat(3 << 20);
        let large: Vec<_> = (0..3).map(|_| store.keep_plan(&plan(&large), NOW).unwrap()).collect();
        assert_eq!(count(&store), 2);
        let huge = store.keep_plan(&plan(&"x".repeat(9 << 20)), NOW).unwrap();
        assert_eq!(count(&store), 1, "the newest stays");
        store.connection.execute("DELETE FROM plans", []).unwrap();
        let last = store.keep_plan(&plan("one"), NOW).unwrap();
        let all: BTreeSet<_> =
            ids.iter().chain(&large).chain([&huge, &last]).map(|id| parts(id).unwrap().0).collect();
        assert_eq!(all.len(), ids.len() + 5);
    }

    #[test]
    fn a_plan_of_a_newer_version_is_one_of_an_unknown_kind() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let id = store.keep_plan(&plan("one"), NOW).unwrap();
        for value in [r#"{"kind":"deploy","app":"shop"}"#, "[]"] {
            store.connection.execute("UPDATE plans SET value = ?1", [value]).unwrap();
            assert_eq!(store.plan(&id, NOW).unwrap(), Some(KeptPlan::Unknown));
        }
    }

    #[test]
    fn a_number_is_the_same_in_digits() {
        for number in [1, 29, 30, 24_299_999, 24_300_000, i64::MAX.unsigned_abs()] {
            let id = format!("{PREFIX}{}zzzzzz", digits(number));
            assert_eq!(parts(&id), Some((signed(number), "zzzzzz".to_owned())));
        }
        assert_eq!(parts(&format!("p{}zzzzzz", "z".repeat(14))), None, "no number is so large");
    }

    fn count(store: &Store) -> usize {
        let count = "SELECT count(*) FROM plans";
        let rows: i64 = store.connection.query_row(count, [], |row| row.get(0)).unwrap();
        usize::try_from(rows).unwrap()
    }

    fn store_newest(store: &Store) -> String {
        let newest = "SELECT number, check_text FROM plans ORDER BY number DESC LIMIT 1";
        let row = store
            .connection
            .query_row(newest, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
        let (number, check) = row.unwrap();
        format!("{PREFIX}{}{check}", digits(number.unsigned_abs()))
    }
}
