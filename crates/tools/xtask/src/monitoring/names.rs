//! Which metrics an expression of PromQL asks for.

use std::collections::BTreeSet;

/// After these a parenthesis holds labels; the first two may stand between an aggregation and what it aggregates.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OTHER_WORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"];

/// The names of metrics in an expression that parses.
pub fn metrics(expression: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if let Some(close) = closing(first) {
            rest = after(rest, close);
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_of_name(first) {
            let (word, behind) = rest.split_at(rest.find(|c| !is_of_name(c)).unwrap_or(rest.len()));
            rest = behind;
            let next = behind.trim_start();
            let called = next.starts_with('(');
            let aggregates =
                BEFORE_LABELS[..2].iter().any(|word| next.strip_prefix(word).is_some_and(|next| !next.starts_with(is_of_name)));
            let lower = word.to_ascii_lowercase();
            if BEFORE_LABELS.contains(&lower.as_str()) {
                rest = if called { after(behind, ')') } else { behind };
            } else if !called && !aggregates && !OTHER_WORDS.contains(&lower.as_str()) {
                found.insert(word);
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// What ends a part that names no metric: matchers, a range, a string.
fn closing(first: char) -> Option<char> {
    match first {
        '{' => Some('}'),
        '[' => Some(']'),
        '"' | '\'' | '`' => Some(first),
        _ => None,
    }
}

/// What follows a part that begins here and ends with `close`, which may stand within strings, too.
fn after(text: &str, close: char) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        let ends = c == close && quote.is_none_or(|quote| quote == close) && !escaped;
        if ends {
            return &text[at + c.len_utf8()..];
        }
        match quote {
            Some(open) if c == open && !escaped => quote = None,
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::metrics;

    fn names(expression: &str) -> Vec<&str> {
        metrics(expression).into_iter().collect()
    }

    #[test]
    fn metrics_are_told_from_all_else() {
        assert_eq!(names("sum by (service) (up{job=\"barid\"}) == 0"), ["up"]);
        assert_eq!(
            names("sum(rate(a_total{x=~\"b}|c(\\\"d\"}[5m] offset 1d)) by (le) / on (e) group_left (f) g:rate5m > 1e3"),
            ["a_total", "g:rate5m"]
        );
        assert_eq!(names("a unless on (x) b or max_over_time(c[2h:1m] offset 23h) and d > bool 0.5"), ["a", "b", "c", "d"]);
        assert_eq!(names("a * ignoring (x) group_left b"), ["a", "b"]);
        assert_eq!(names("label_replace(a, 'b', \"$1\", `c`, '(.*)') + Inf"), ["a"]);
        assert_eq!(names("histogram_quantile(0.99, sum by (le) (rate(h_bucket[5m])))"), ["h_bucket"]);
        assert_eq!(names("max without(x) (bytes) unless sum(by_hand)"), ["by_hand", "bytes"]);
        assert_eq!(names("vector(1)"), [""; 0]);
    }
}
