//! A merchant's own JSON: kept as it was written, checked so that every reader takes it for the same (R6), and compared by
//! its values (R9).

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::InvalidParameter;

/// Names of one object.
const MAX_NAMES: usize = 50;

/// Bytes as JSON without white space.
const MAX_BYTES: usize = 8 * 1_024;

/// Objects and arrays inside one another, the outermost included.
const MAX_LEVELS: usize = 32;

/// A number's magnitude is at most 1 with so many zeros: what every language reads without losing it to infinity.
const MAX_POWER: i64 = 308;

/// What is said of half of a character; a string that is otherwise valid JSON has no other fault.
pub(super) const HALF_A_CHARACTER: &str =
    "must not contain a lone surrogate (half of a pair of \\u escapes), which is no character";

/// A JSON object as its owner wrote it, without the white space: types, order and digits kept (R6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(String);

/// The members of a JSON object in their order, each value as it was written.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl Metadata {
    /// Checks the object and takes the white space out of it. An empty array is what PHP makes of an empty object.
    pub fn parse(json: &str) -> Result<Metadata, InvalidParameter> {
        let compact = match compact(json) {
            empty if empty == "[]" => "{}".to_owned(),
            compact => compact,
        };
        if !compact.starts_with('{') {
            return Err(invalid("must be an object".to_owned()));
        }
        if compact.len() > MAX_BYTES {
            return Err(invalid("must be at most 8 KiB as JSON".to_owned()));
        }
        let metadata = Metadata(compact);
        let names = Members::parse(&metadata.0)?.0.len();
        if names > MAX_NAMES {
            return Err(invalid(format!("must have at most {MAX_NAMES} keys")));
        }
        metadata.canonical().map(|_| metadata)
    }

    /// The object as JSON.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Whether both have the same values: neither the order of names, nor escapes, nor how a number is written counts.
    pub fn is_same_as(&self, other: &Metadata) -> bool {
        self.0 == other.0
            || self.canonical().is_ok_and(|own| other.canonical().is_ok_and(|other| own == other))
    }

    fn canonical(&self) -> Result<String, InvalidParameter> {
        canonical(&self.0, MAX_LEVELS)
    }
}

fn invalid(rule: String) -> InvalidParameter {
    InvalidParameter::new("metadata", rule)
}

impl Members<'_> {
    fn parse(json: &str) -> Result<Members<'_>, InvalidParameter> {
        let members: Members =
            serde_json::from_str(json).map_err(|_| invalid(HALF_A_CHARACTER.to_owned()))?;
        match members.repeated() {
            None => Ok(members),
            Some(name) => Err(invalid(format!("must not have the name {name:?} twice in one object"))),
        }
    }

    /// A name that is there twice, with escapes read.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.array_windows().find(|[one, next]| one == next).map(|[name, _]| *name)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The one way to write a value; `json` is valid, without white space around it.
fn canonical(json: &str, levels: usize) -> Result<String, InvalidParameter> {
    let inner = || {
        let rule = || invalid(format!("must have at most {MAX_LEVELS} levels"));
        levels.checked_sub(1).ok_or_else(rule)
    };
    match json.bytes().next() {
        Some(b'{') => {
            let inner = inner()?;
            let mut members = Members::parse(json)?.0;
            members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            let written = members.into_iter().map(|(name, value)| {
                Ok(format!("{}:{}", serde_json::Value::String(name), canonical(value.get(), inner)?))
            });
            Ok(format!("{{{}}}", written.collect::<Result<Vec<_>, InvalidParameter>>()?.join(",")))
        }
        Some(b'[') => {
            let inner = inner()?;
            let items: Vec<&RawValue> =
                serde_json::from_str(json).map_err(|_| invalid("must be an object".to_owned()))?;
            let written = items.into_iter().map(|item| canonical(item.get(), inner));
            Ok(format!("[{}]", written.collect::<Result<Vec<_>, _>>()?.join(",")))
        }
        Some(b'"') => {
            let text: String =
                serde_json::from_str(json).map_err(|_| invalid(HALF_A_CHARACTER.to_owned()))?;
            Ok(serde_json::Value::String(text).to_string())
        }
        Some(b'-' | b'0'..=b'9') => number(json),
        _ => Ok(json.to_owned()),
    }
}

/// A number by its significant digits and the place of its point, exactly: `1`, `1.0` and `10e-1` are one.
fn number(json: &str) -> Result<String, InvalidParameter> {
    let (sign, digits) = json.strip_prefix('-').map_or(("", json), |digits| ("-", digits));
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Ok("0".to_owned());
    }
    let zeros = all.len().saturating_sub(significant.len());
    let place = i64::try_from(whole.len())
        .unwrap_or(i64::MAX)
        .saturating_sub(i64::try_from(zeros).unwrap_or(i64::MAX));
    // An exponent that fits no number is as far off as one can be.
    let furthest = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    let power = exponent.parse().unwrap_or(furthest).saturating_add(place);
    let significant = significant.trim_end_matches('0');
    let is_limit = power == MAX_POWER.saturating_add(1) && significant == "1";
    if power > MAX_POWER && !is_limit {
        return Err(invalid("must not have a number beyond 10^308".to_owned()));
    }
    Ok(format!("{sign}0.{significant}e{power}"))
}

/// Valid JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |character: &char| {
        let kept = in_string || !matches!(character, ' ' | '\t' | '\n' | '\r');
        match (in_string, escaped, character) {
            (true, false, '\\') => escaped = true,
            (true, false, '"') => in_string = false,
            (false, _, '"') => in_string = true,
            (true, true, _) => escaped = false,
            (true | false, false, _) | (false, true, _) => {}
        }
        kept
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        Metadata::parse(json).unwrap_err().to_string()
    }

    fn nested(levels: usize) -> String {
        format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn c7_what_is_refused_is_called_what_it_is() {
        let twice = "metadata must not have the name \"a\" twice in one object";
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":1,"c":2,"a":3}]}"#,
            r#"{"b":{"c":{"a":{},"a":[]}}}"#,
        ] {
            assert_eq!(refused(json), twice, "{json}");
        }
        for json in [
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00\ud800"}"#,
            r#"{"\ud800":1}"#,
            r#"{"a":[[{"b":"x\uDBFFx"}]]}"#,
            r#"{"a":{"\udfff":1}}"#,
        ] {
            assert_eq!(refused(json), format!("metadata {HALF_A_CHARACTER}"), "{json}");
        }
        for json in
            ["1e309", "-1e309", "1.0000001e308", "10e308", "1e99999999999999999999", "[{\"b\":2e308}]"]
        {
            let json = format!("{{\"a\":{json}}}");
            assert_eq!(refused(&json), "metadata must not have a number beyond 10^308", "{json}");
        }
        for json in [nested(33), nested(200), format!("{{\"a\":{}1{}}}", "[".repeat(32), "]".repeat(32))] {
            assert_eq!(refused(&json), "metadata must have at most 32 levels", "{json}");
        }
        for json in ["1", "\"{}\"", "[1]", "[[]]", "true", "[{}]"] {
            assert_eq!(refused(json), "metadata must be an object", "{json}");
        }
    }

    #[test]
    fn c7_what_fits_is_kept_to_the_letter() {
        for json in [
            r#"{"z":1,"a":[1.10,1e308,-1E308,1e-400,0.1e309],"n":null,"":{},"e":"\u0061\ud83d\ude00"}"#,
            r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
            &nested(32),
            &format!("{{\"a\":1{}}}", "0".repeat(308)),
        ] {
            assert_eq!(Metadata::parse(json).unwrap().as_json(), json);
        }
        for json in ["[]", " [ ] ", "{ }"] {
            assert_eq!(Metadata::parse(json).unwrap().as_json(), "{}");
        }
    }

    #[test]
    fn c7_values_are_compared_and_not_how_they_are_written() {
        let parse = |json: &str| Metadata::parse(json).unwrap();
        let first = parse(r#"{"a":1,"b":[true,"\u00e9",{"c":0.10,"d":-0}]}"#);
        for same in [
            r#"{"b":[true,"é",{"d":0,"c":1e-1}],"a":1.0}"#,
            r#"{"a":10e-1,"\u0062":[true,"\u00E9",{"c":0.1,"d":0.000}]}"#,
            r#"{"a":0.1e+1, "b":[true,"é",{"c":100E-3,"d":0e5}]}"#,
        ] {
            assert!(first.is_same_as(&parse(same)) && parse(same).is_same_as(&first), "{same}");
        }
        for other in [
            r#"{"a":"1","b":[true,"é",{"c":0.1,"d":0}]}"#,
            r#"{"a":1,"b":["é",true,{"c":0.1,"d":0}]}"#,
            r#"{"a":-1,"b":[true,"é",{"c":0.1,"d":0}]}"#,
            r#"{"a":1,"b":[true,"é",{"c":0.1,"d":null}]}"#,
            r#"{"a":1.00000000000000000001,"b":[true,"é",{"c":0.1,"d":0}]}"#,
            r#"{"a":1}"#,
            "{}",
        ] {
            assert!(!first.is_same_as(&parse(other)), "{other}");
        }
        let far = |digits: &str| parse(&format!("{{\"a\":{digits}}}"));
        assert!(!far("12345678901234567890123").is_same_as(&far("12345678901234567890124")));
        assert!(!far("1e-400").is_same_as(&far("0")));
    }
}
