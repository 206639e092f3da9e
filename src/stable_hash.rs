//! A hash that stays the same on every server, after every restart and with every version: what is chosen
//! or named by it outlives them.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// SipHash-1-3 of the bytes, its key all zeros.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

/// SipHash-1-3 of the bytes with this key: who does not know it can't tell what it makes of them.
pub fn keyed_hash(key: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key, 0);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_every_version_before() {
        assert_eq!(stable_hash(b""), 0xd1fb_a762_150c_532c);
        assert_eq!(stable_hash(b"203.0.113.9"), 0x5bf0_790a_cb28_7c35);
        assert_eq!(stable_hash(b"web-1\xff"), 0x02f0_b807_3de6_9fcc);
    }
}
