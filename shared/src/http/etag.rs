//! What an answer is known by: a hash of all that it shows, so that a caller can ask for what is new only.

use sha2::{Digest, Sha256};

/// Bytes of the hash that are shown: enough that no two answers about one payment share them by chance.
const TAG_BYTES: usize = 16;

/// The tag of an answer's body, as the header has it, with its quotation marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of a body.
    pub fn of(body: &str) -> ETag {
        let digest: [u8; 32] = Sha256::digest(body).into();
        let hex = digest.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}"));
        ETag(format!("\"{}\"", hex.collect::<Vec<_>>().concat()))
    }

    /// The tag as a header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an `If-None-Match` names it. A proxy that compresses may have made it a weak one on the way.
    pub fn is_named_by(&self, header: &str) -> bool {
        let names = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0;
        header.split(',').any(|tag| names(tag.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_named_alone_in_a_list_as_a_weak_one_or_by_a_star() {
        let (tag, other) = (ETag::of("one"), ETag::of("another"));
        let quoted = tag.as_str();
        for header in
            [quoted, "*", &format!("W/{quoted}"), &format!("\"x\", {quoted}"), &format!(" {quoted} ,W/\"x\"")]
        {
            assert!(tag.is_named_by(header), "{header}");
        }
        for header in ["", "x", "\"\"", other.as_str(), quoted.trim_matches('"')] {
            assert!(!tag.is_named_by(header), "{header}");
        }
    }
}
