//! The hash of a key or of a member's address: the same in every process and on every machine, so that two front ends
//! send a key to the same member. FNV-1a; the policies mix it further.

/// Hashes bytes.
pub fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_fnv_1a_on_every_machine() {
        // The test vectors of draft-eastlake-fnv.
        assert_eq!(super::hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
