//! Draws a day: slots by use, waits by class, logins. SVG, written as text.

use std::fmt::Write;

use super::{DAY, HOUR, Report, Time, report::CLASSES, traffic};

const WIDTH: f64 = 1280.0;
const HEIGHT: f64 = 1090.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 1060.0;
/// Waits are shown for so long at a time.
const SPAN: Time = 10 * 60_000;
/// By use, in the order of `report::Use`. Told apart by those who do not see all colours, and in grey.
const USES: [(&str, &str); 8] = [
    ("sending: immediate", "#b2182b"),
    ("sending: peak window", "#ef8a62"),
    ("sending: high volume", "#7b3294"),
    ("sending: other", "#fdd9b5"),
    ("pinned, nothing to send", "#6baed6"),
    ("visiting (sweep)", "#1b7837"),
    ("connecting or leaving", "#4d4d4d"),
    ("lingering", "#deebf7"),
];
const LINES: [&str; 4] = ["#b2182b", "#e08214", "#7b3294", "#2166ac"];

/// A field of the picture with its own scale.
struct Panel {
    top: f64,
    bottom: f64,
    /// The value at the top.
    most: f64,
    /// Seconds from a tenth up, each power of ten as high as the next.
    logarithmic: bool,
}

impl Panel {
    fn y(&self, value: f64) -> f64 {
        let part = if self.logarithmic { (value.max(LEAST) / LEAST).log10() / (self.most / LEAST).log10() } else { value / self.most };
        self.bottom - part * (self.bottom - self.top)
    }
}

/// The least that a logarithmic scale shows, in seconds.
const LEAST: f64 = 0.5;

fn x(at: Time) -> f64 {
    LEFT + (RIGHT - LEFT) * at as f64 / DAY as f64
}

/// The picture as the text of an SVG file.
pub fn draw(report: &Report) -> String {
    let mut svg = Svg(String::new());
    svg.add(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"
 font-family="sans-serif" font-size="13" fill="#222">
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>"##
    ));
    svg.text(
        LEFT,
        36.0,
        r#"font-size="22" font-weight="bold""#,
        &format!("A day of {} sessions in {} slots", grouped(report.sessions), report.slots),
    );
    let summary = format!(
        "{} replicas · {} messages sent, {} left · {} logins, {:.2} times the {} of one who knows the day beforehand · {} visits",
        report.replicas,
        grouped(report.sent),
        report.unsent,
        grouped(report.logins),
        report.ratio,
        grouped(report.optimum),
        grouped(report.visits),
    );
    svg.text(LEFT, 60.0, r##"font-size="14" fill="#555""##, &summary);
    slots(&mut svg, report);
    waits(&mut svg, report);
    logins(&mut svg, report);
    svg.text((LEFT + RIGHT) / 2.0, HEIGHT - 14.0, r#"text-anchor="middle""#, "time of day (hours); the peak windows are shaded");
    svg.add("</svg>".to_owned());
    svg.0
}

fn slots(svg: &mut Svg, report: &Report) {
    let panel = Panel { top: 110.0, bottom: 430.0, most: nice(report.slots as f64 * 1.08), logarithmic: false };
    svg.panel(&panel, "Slots by use", "slots", &steps(panel.most));
    let mut below = vec![0.0; report.minutes.len()];
    for (index, (_, colour)) in USES.iter().enumerate() {
        let above: Vec<f64> = below.iter().zip(&report.minutes).map(|(below, minute)| below + f64::from(minute.slots[index])).collect();
        let point = |(minute, value): (usize, &f64)| format!("{:.1},{:.1}", x(minute as Time * 60_000), panel.y(*value));
        let edge = above.iter().enumerate().map(point).chain(below.iter().enumerate().rev().map(point));
        svg.add(format!(r#"<polygon fill="{colour}" points="{}"/>"#, edge.collect::<Vec<_>>().join(" ")));
        below = above;
    }
    svg.mark(&panel, report.slots as f64, "all slots");
    // From the top down as they are stacked.
    let legend: Vec<(&str, &str)> = USES.iter().rev().copied().collect();
    svg.legend(panel.top + 20.0, &legend, false);
}

fn waits(svg: &mut Svg, report: &Report) {
    let longest = report.waits.iter().map(|(.., wait)| *wait as f64 / 1000.0).fold(0.0, f64::max);
    let max_wait = report.max_wait.as_secs_f64();
    let panel = Panel { top: 490.0, bottom: 740.0, most: longest.max(max_wait * 1.5).max(10.0), logarithmic: true };
    let ticks: Vec<f64> = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0].into_iter().filter(|tick| *tick <= panel.most).collect();
    svg.panel(
        &panel,
        "Wait for a slot by class: until logged in, 95 of 100 within (line), longest (dot); per 10 minutes",
        "seconds, logarithmic",
        &ticks,
    );
    svg.mark(&panel, max_wait, "max_wait");
    for ((class, _), colour) in CLASSES.iter().zip(LINES) {
        let mut bins: Vec<Vec<Time>> = vec![Vec::new(); (DAY / SPAN) as usize];
        for (at, _, wait) in report.waits.iter().filter(|(at, of, _)| of == class && *at < DAY) {
            bins[(at / SPAN) as usize].push(*wait);
        }
        for (index, bin) in bins.iter_mut().enumerate() {
            bin.sort_unstable();
            if let Some(longest) = bin.last() {
                let (x, y) = (x(index as Time * SPAN + SPAN / 2), panel.y(*longest as f64 / 1000.0));
                svg.add(format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.2" fill="{colour}" fill-opacity="0.55"/>"#));
            }
        }
        // A line breaks where nobody waited.
        let points = bins.iter().enumerate().map(|(index, bin)| {
            let most = bin.get(bin.len() * 95 / 100)?;
            Some(format!("{:.1},{:.1}", x(index as Time * SPAN + SPAN / 2), panel.y(*most as f64 / 1000.0)))
        });
        for line in points.collect::<Vec<_>>().split(Option::is_none) {
            let points: Vec<&str> = line.iter().flatten().map(String::as_str).collect();
            svg.add(format!(r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#, points.join(" ")));
        }
    }
    let names: Vec<String> =
        report.slot_waits.iter().map(|(name, spread)| format!("{name}: {:.1} / {:.1} s", spread.p95, spread.max)).collect();
    let legend: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(LINES).collect();
    svg.text(RIGHT + 16.0, panel.top + 12.0, r##"fill="#555""##, "whole day: 95 % / longest");
    svg.legend(panel.top + 34.0, &legend, true);
}

fn logins(svg: &mut Svg, report: &Report) {
    let most = report.minutes.iter().map(|minute| minute.logins + minute.visits).max().unwrap_or_default();
    let panel = Panel { top: 800.0, bottom: 1030.0, most: nice(f64::from(most)), logarithmic: false };
    svg.panel(&panel, "Logins per minute", "logins per minute", &steps(panel.most));
    let colours = [("for messages", "#4393c3"), ("visits (sweep) and pins", "#1b7837")];
    for (index, minute) in report.minutes.iter().enumerate() {
        let (at, width) = (x(index as Time * 60_000), x(60_000) - x(0));
        let mut below = 0;
        for (count, (_, colour)) in [minute.visits, minute.logins].into_iter().zip([colours[1], colours[0]]) {
            let (low, high) = (panel.y(f64::from(below)), panel.y(f64::from(below + count)));
            below += count;
            if count > 0 {
                svg.add(format!(r#"<rect x="{at:.2}" y="{high:.1}" width="{width:.2}" height="{:.1}" fill="{colour}"/>"#, low - high));
            }
        }
    }
    svg.legend(panel.top + 20.0, &colours, false);
}

struct Svg(String);

impl Svg {
    fn add(&mut self, text: String) {
        self.0.push_str(&text);
        self.0.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, style: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        // Writing to a string does not fail.
        let _ = writeln!(self.0, r#"<text x="{x:.1}" y="{y:.1}" {style}>{text}</text>"#);
    }

    fn panel(&mut self, panel: &Panel, title: &str, unit: &str, ticks: &[f64]) {
        let (top, bottom) = (panel.top, panel.bottom);
        self.text(LEFT, top - 12.0, r#"font-size="15" font-weight="bold""#, title);
        for (from, to) in traffic::PEAKS.map(|(from, to, _)| (x(from), x(to))) {
            self.add(format!(r##"<rect x="{from:.1}" y="{top}" width="{:.1}" height="{:.1}" fill="#f3efe4"/>"##, to - from, bottom - top));
        }
        for tick in ticks {
            let y = panel.y(*tick);
            self.add(format!(r##"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="#ddd"/>"##));
            self.text(LEFT - 8.0, y + 4.5, r#"text-anchor="end""#, &grouped(*tick as usize));
        }
        for hour in 0..=24 {
            let at = x(hour * HOUR);
            self.add(format!(r##"<path d="M{at:.1} {bottom}v5" stroke="#888"/>"##));
            if hour % 2 == 0 {
                self.text(at, bottom + 20.0, r#"text-anchor="middle""#, &hour.to_string());
            }
        }
        self.add(format!(r##"<path d="M{LEFT} {top}V{bottom}H{RIGHT}" fill="none" stroke="#888"/>"##));
        let middle = (top + bottom) / 2.0;
        let turned = format!(r##"text-anchor="middle" fill="#555" transform="rotate(-90 26 {middle:.1})""##);
        self.text(26.0, middle, &turned, unit);
    }

    /// A dashed line with its name.
    fn mark(&mut self, panel: &Panel, value: f64, name: &str) {
        let y = panel.y(value);
        self.add(format!(r##"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="#222" stroke-dasharray="6 4"/>"##));
        self.text(LEFT + 8.0, y - 5.0, "", name);
    }

    fn legend(&mut self, top: f64, entries: &[(&str, &str)], lines: bool) {
        for (index, (name, colour)) in entries.iter().enumerate() {
            let y = top + 22.0 * index as f64;
            let (height, lift) = if lines { (3.0, 5.0) } else { (13.0, 0.0) };
            self.add(format!(r##"<rect x="{}" y="{:.1}" width="18" height="{height}" fill="{colour}"/>"##, RIGHT + 16.0, y + lift));
            self.text(RIGHT + 40.0, y + 11.0, "", name);
        }
    }
}

/// The next higher round number.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter().map(|times| times * power).find(|nice| *nice >= value).unwrap_or(value)
}

fn steps(most: f64) -> Vec<f64> {
    let step = nice(most / 6.0);
    (0..=6).map(|index| f64::from(index) * step).filter(|tick| *tick <= most).collect()
}

/// 12345 as 12,345.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
