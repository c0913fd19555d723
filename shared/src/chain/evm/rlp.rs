//! Ethereum's encoding of lists and byte strings (RLP), as far as transactions and tries need it written.

/// Strings and lists up to this many bytes have their length in their first byte.
const SHORT: usize = 55;

/// What a string's first byte counts from, and a list's.
const STRING: u8 = 0x80;
const LIST: u8 = 0xc0;

/// Items of a list, encoded.
#[derive(Clone, Debug, Default)]
pub(super) struct List(Vec<u8>);

impl List {
    /// Adds bytes as they are.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> List {
        match bytes {
            [byte] if *byte < STRING => self.0.push(*byte),
            _ => {
                head(&mut self.0, STRING, bytes.len());
                self.0.extend_from_slice(bytes);
            }
        }
        self
    }

    /// Adds a number, given in any number of bytes: the encoding has no zeros before it.
    pub(super) fn number(self, big_endian: &[u8]) -> List {
        let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
        self.bytes(big_endian.get(zeros..).unwrap_or_default())
    }

    /// Adds what is encoded already.
    pub(super) fn encoded(mut self, item: &[u8]) -> List {
        self.0.extend_from_slice(item);
        self
    }

    /// The list itself.
    pub(super) fn end(self) -> Vec<u8> {
        let mut all = Vec::new();
        head(&mut all, LIST, self.0.len());
        all.extend(self.0);
        all
    }

    /// The items alone, one after the other.
    pub(super) fn items(self) -> Vec<u8> {
        self.0
    }
}

/// The first bytes of a string or a list: the length, or the length of the length and then that.
fn head(all: &mut Vec<u8>, kind: u8, length: usize) {
    let short = u8::try_from(length).ok().filter(|_| length <= SHORT);
    if let Some(length) = short {
        all.push(kind.wrapping_add(length));
        return;
    }
    let digits = length.to_be_bytes();
    let digits: Vec<u8> = digits.into_iter().skip_while(|digit| *digit == 0).collect();
    let count = u8::try_from(digits.len()).unwrap_or(u8::MAX);
    all.push(kind.wrapping_add(55).wrapping_add(count));
    all.extend(digits);
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::DisplayHex;

    use super::*;

    /// Those of the Ethereum wiki.
    #[test]
    fn strings_numbers_and_lists_are_written_as_the_specification_has_them() {
        let hex = |list: List| list.items().to_lower_hex_string();
        assert_eq!(hex(List::default().bytes(b"dog")), "83646f67");
        assert_eq!(hex(List::default().bytes(b"")), "80");
        assert_eq!(hex(List::default().bytes(&[0])), "00");
        assert_eq!(hex(List::default().bytes(&[0x80])), "8180");
        assert_eq!(hex(List::default().number(&[0, 0])), "80");
        assert_eq!(hex(List::default().number(&[0, 15])), "0f");
        assert_eq!(hex(List::default().number(&[0, 4, 0])), "820400");
        let animals = List::default().bytes(b"cat").bytes(b"dog").end();
        assert_eq!(animals.to_lower_hex_string(), "c88363617483646f67");
        assert_eq!(List::default().end(), [0xc0]);
        let long = List::default().bytes(b"Lorem ipsum dolor sit amet, consectetur adipisicing elit").items();
        assert_eq!(long.get(..3), Some(&[0xb8, 0x38, b'L'][..]));
        let longer = List::default().bytes(&[7; 1024]).end();
        assert_eq!(longer.get(..6), Some(&[0xf9, 0x04, 0x03, 0xb9, 0x04, 0x00][..]));
    }
}
