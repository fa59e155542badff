//! The checksum that goes with every payload: CRC-32C, as Secret Manager computes it.

use crc::{CRC_32_ISCSI, Crc};

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The checksum in the form that the service writes it.
pub(crate) fn checksum(bytes: &[u8]) -> i64 {
    i64::from(CRC32C.checksum(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_one() {
        // The check value of CRC-32C, and the examples of RFC 3720.
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 32]), 0x62a8_ab43);
    }
}
