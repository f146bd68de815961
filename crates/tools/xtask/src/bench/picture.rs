//! Draws how long messages waited. SVG, written as text.

use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

/// A message: when it was due, in seconds since the first, and how many seconds it waited for WhatsApp's acknowledgement.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub at: f64,
    pub wait: f64,
    /// Index of its class.
    pub kind: usize,
}

const WIDTH: f64 = 1100.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 800.0;
const TOP: f64 = 80.0;
const BOTTOM: f64 = 490.0;
/// The least wait that is told apart, in seconds; the scale is logarithmic.
const LEAST: f64 = 0.01;
/// Seconds whose messages make one point of a line.
const BIN: f64 = 2.0;
const COLOURS: [&str; 4] = ["#b2182b", "#e08214", "#7b3294", "#2166ac"];

/// For each class its 95th percentile over time as a line and its longest waits as dots, with the figures of the whole beside its name.
pub fn draw(title: &str, classes: &[(&str, Value)], points: &[Point], max_wait: Duration) -> String {
    let end = points.iter().map(|point| point.at).fold(1.0, f64::max);
    let longest = points.iter().map(|point| point.wait).fold(max_wait.as_secs_f64() * 1.5, f64::max);
    let x = |at: f64| LEFT + (RIGHT - LEFT) * at / end;
    let y = |wait: f64| BOTTOM - (wait.max(LEAST) / LEAST).log10() / (longest / LEAST).log10() * (BOTTOM - TOP);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="#222">
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
<text x="{LEFT}" y="32" font-size="20" font-weight="bold">{title}</text>
<text x="{LEFT}" y="56" fill="#555">due to acknowledged by class: 95 of 100 within (line), longest (dot), per {BIN} seconds</text>
"##
    );
    // Writing to a string does not fail.
    for tick in [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0].into_iter().filter(|tick| *tick <= longest) {
        let at = y(tick);
        let _ = writeln!(svg, r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="#ddd"/>"##);
        let _ = writeln!(svg, r#"<text x="{}" y="{:.1}" text-anchor="end">{tick} s</text>"#, LEFT - 8.0, at + 4.5);
    }
    let step = (end / 10.0 / 5.0).ceil() * 5.0;
    for tick in (0..=10).map(|index| f64::from(index) * step).filter(|tick| *tick <= end) {
        let _ = writeln!(svg, r#"<text x="{:.1}" y="{}" text-anchor="middle">{tick}</text>"#, x(tick), BOTTOM + 20.0);
    }
    let at = y(max_wait.as_secs_f64());
    let _ = writeln!(svg, r##"<path d="M{LEFT} {at:.1}H{RIGHT}" stroke="#222" stroke-dasharray="6 4"/>"##);
    let _ = writeln!(svg, r#"<text x="{}" y="{:.1}">max_wait</text>"#, LEFT + 8.0, at - 5.0);
    let _ = writeln!(svg, r##"<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#888"/>"##);
    let middle = (LEFT + RIGHT) / 2.0;
    let _ =
        writeln!(svg, r#"<text x="{middle}" y="{}" text-anchor="middle">seconds of the compressed day: two peaks</text>"#, HEIGHT - 24.0);
    for (kind, ((name, spread), colour)) in classes.iter().zip(COLOURS).enumerate() {
        let mut bins: Vec<Vec<f64>> = vec![Vec::new(); (end / BIN) as usize + 1];
        for point in points.iter().filter(|point| point.kind == kind) {
            bins[(point.at.max(0.0) / BIN) as usize].push(point.wait);
        }
        let mut line: Vec<Option<String>> = Vec::new();
        for (index, bin) in bins.iter_mut().enumerate() {
            bin.sort_by(f64::total_cmp);
            let at = x((index as f64 + 0.5) * BIN);
            if let Some(longest) = bin.last() {
                let _ = writeln!(svg, r#"<circle cx="{at:.1}" cy="{:.1}" r="2.2" fill="{colour}" fill-opacity="0.55"/>"#, y(*longest));
            }
            line.push(bin.get(bin.len() * 95 / 100).map(|most| format!("{at:.1},{:.1}", y(*most))));
        }
        // A line breaks where nobody waited.
        for piece in line.split(Option::is_none) {
            let points: Vec<&str> = piece.iter().flatten().map(String::as_str).collect();
            let _ = writeln!(svg, r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#, points.join(" "));
        }
        let top = TOP + 26.0 * kind as f64;
        let _ = writeln!(svg, r#"<rect x="{}" y="{top}" width="18" height="3" fill="{colour}"/>"#, RIGHT + 16.0);
        let figures = format!("{name}: median {} ms, 99 % {} ms", spread["p50"], spread["p99"]);
        let _ = writeln!(svg, r#"<text x="{}" y="{}">{figures}</text>"#, RIGHT + 42.0, top + 6.0);
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_class_has_its_line_and_a_gap_where_nobody_waited() {
        let point = |at, wait, kind| Point { at, wait, kind };
        let points = [point(0.0, 0.1, 0), point(3.0, 0.2, 0), point(20.0, 25.0, 0), point(1.0, 0.5, 1)];
        let drawn = draw("day", &[("one", json!({"p50": 1.0})), ("two", json!({}))], &points, Duration::from_secs(20));
        assert_eq!((drawn.matches("<circle").count(), drawn.matches("<polyline").count() >= 3), (4, true));
        assert!(drawn.contains("one: median 1.0 ms") && drawn.contains("max_wait"));
    }
}
