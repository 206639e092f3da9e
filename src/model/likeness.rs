//! Which of many names was probably meant.

/// The name in `names` that `wanted` is most probably a slip of; nothing when none is near. Looks at a
/// hundred thousand names in the time of a keystroke, and allocates nothing for any of them.
pub fn nearest<T: AsRef<str>>(wanted: &str, names: impl IntoIterator<Item = T>) -> Option<T> {
    // A slip in three letters; what is shorter is another name, not a slip of one.
    let mut limit = (wanted.len() / 3).min(MOST_SLIPS);
    let mut nearest = None;
    for name in names {
        if limit == 0 {
            break;
        }
        if let Some(slips) = slips(wanted.as_bytes(), name.as_ref().as_bytes(), limit) {
            // The first of those that are as near, so that the answer is always the same.
            limit = slips.saturating_sub(1);
            nearest = Some(name);
        }
    }
    nearest
}

/// Slips that still make one name of another.
const MOST_SLIPS: usize = 3;

/// How many letters were left out, put in, mistaken, or swapped with their neighbour between the two
/// (optimal string alignment), if not more than `limit`. Only the diagonals that could stay within the
/// limit are looked at.
fn slips(one: &[u8], other: &[u8], limit: usize) -> Option<usize> {
    const BAND: usize = 2 * MOST_SLIPS + 1;
    const FAR: usize = MOST_SLIPS + 1;
    if one.len().abs_diff(other.len()) > limit {
        return None;
    }
    // `row[k]` is the distance of the first `i` letters of one and the first `i + k - MOST_SLIPS` of
    // the other.
    let mut before = [FAR; BAND];
    let mut row: [usize; BAND] = std::array::from_fn(|k| k.checked_sub(MOST_SLIPS).unwrap_or(FAR));
    for i in 1..=one.len() {
        let mut next = [FAR; BAND];
        for k in 0..BAND {
            let Some(j) = (i + k).checked_sub(MOST_SLIPS).filter(|j| *j <= other.len()) else {
                continue;
            };
            let mut best = row.get(k + 1).map_or(FAR, |above| above + 1);
            if k > 0 {
                best = best.min(next[k - 1] + 1);
            }
            if j > 0 {
                best = best.min(row[k] + usize::from(one[i - 1] != other[j - 1]));
            }
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                best = best.min(before[k] + 1);
            }
            next[k] = best.min(FAR);
        }
        if next.iter().all(|slips| *slips > limit) {
            return None;
        }
        (before, row) = (row, next);
    }
    let slips = row[(other.len() + MOST_SLIPS).checked_sub(one.len())?];
    (slips <= limit).then_some(slips)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_name_is_not() {
        let names = ["example.com", "shop.example.org", "web-eu-1", "shop-blue", "a", "b"];
        for (wanted, expected) in [
            ("exmaple.com", Some("example.com")),
            ("example.con", Some("example.com")),
            ("exmple.com", Some("example.com")),
            ("shop.exmaple.orgg", Some("shop.example.org")),
            ("web-eu1", Some("web-eu-1")),
            ("shop-bleu", Some("shop-blue")),
            ("c", None),
            ("other.net", None),
            ("", None),
            ("shop", None),
        ] {
            assert_eq!(nearest(wanted, names), expected, "{wanted}");
        }
    }

    #[test]
    fn of_several_the_nearest_is_meant_and_of_equals_the_first() {
        assert_eq!(nearest("web-v11", ["web-v333", "web-v1", "web-v12"]), Some("web-v1"));
    }

    proptest::proptest! {
        #[test]
        fn it_counts_slips_as_the_textbook_does(one in "[ab.]{0,12}", other in "[ab.]{0,12}") {
            let expected = strsim::osa_distance(&one, &other);
            let found = slips(one.as_bytes(), other.as_bytes(), MOST_SLIPS);
            proptest::prop_assert_eq!(found, Some(expected).filter(|slips| *slips <= MOST_SLIPS));
        }

        #[test]
        fn no_text_makes_it_panic(one in ".{0,40}", other in ".{0,40}") {
            let _ = nearest(&one, [other.as_str()]);
        }
    }
}
