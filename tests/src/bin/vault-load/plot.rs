//! The plot: arrivals at the vault per sliding window with the limit's line, as SVG written by hand.

use std::fmt::Write as _;

use crate::judge::Judgement;
use crate::scenario::WINDOW;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 48.0;

/// Where seconds and counts lie in the picture.
struct Scale {
    seconds: f64,
    most: f64,
}

impl Scale {
    fn x(&self, second: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds
    }

    fn y(&self, count: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / self.most
    }
}

/// A round step that makes four to ten of `span`.
fn step(span: f64) -> f64 {
    let power = 10_f64.powf((span / 4.0).max(1.0).log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|digit| digit * power).find(|step| span / step >= 4.0).unwrap_or(1.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), style: &str) {
    writeln!(out, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#)
        .expect("a string");
}

fn label(out: &mut String, (x, y): (f64, f64), anchor: &str, style: &str, text: &str) {
    writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" {style}>{}</text>"#, escaped(text))
        .expect("a string");
}

/// One connected line through (second, count).
fn curve(out: &mut String, scale: &Scale, points: impl Iterator<Item = (f64, f64)>, style: &str) {
    let points: Vec<String> =
        points.map(|(second, count)| format!("{:.1},{:.1}", scale.x(second), scale.y(count))).collect();
    writeln!(out, r#"<polyline fill="none" points="{}" {style}/>"#, points.join(" ")).expect("a string");
}

/// The picture of one run.
pub fn svg(judgement: &Judgement) -> String {
    let limit = f64::from(judgement.limit);
    let highest = judgement.seconds.iter().map(|second| second.fullest).max().unwrap_or_default() as f64;
    let scale = Scale { seconds: (judgement.seconds.len() as f64).max(1.0), most: highest.max(limit) * 1.1 };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{}: arrivals at the vault in the fullest window of {} s</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n",
        escaped(&judgement.scenario),
        WINDOW.as_secs()
    );
    let from = f64::from(judgement.measured_from).min(scale.seconds);
    if from > 0.0 {
        writeln!(
            out,
            r##"<rect x="{LEFT}" y="{TOP}" width="{:.1}" height="{:.1}" fill="#eef1f5"/>"##,
            scale.x(from) - LEFT,
            HEIGHT - TOP - BOTTOM
        )
        .expect("a string");
        label(&mut out, (LEFT + 6.0, TOP + 16.0), "start", r##"fill="#5a6472""##, "not measured yet");
    }
    axes(&mut out, &scale);
    let seconds = || judgement.seconds.iter().enumerate();
    // A second's value stands at its end.
    let arrivals = seconds().map(|(at, second)| (at as f64 + 1.0, second.arrivals as f64));
    curve(&mut out, &scale, arrivals, r##"stroke="#7a8aa0" stroke-width="1""##);
    let fullest = seconds().map(|(at, second)| (at as f64 + 1.0, second.fullest as f64));
    curve(&mut out, &scale, fullest, r##"stroke="#0b5cad" stroke-width="1.5""##);
    let (begin, end) = ((scale.x(0.0), scale.y(limit)), (scale.x(scale.seconds), scale.y(limit)));
    line(&mut out, begin, end, r##"stroke="#b3261e" stroke-width="1.5" stroke-dasharray="6 4""##);
    label(&mut out, (end.0, end.1 - 6.0), "end", r##"fill="#b3261e""##, &format!("limit {limit:.0}"));
    for (at, refused) in judgement.refusals.iter().enumerate().filter(|(_, refused)| **refused > 0) {
        let x = scale.x(at as f64 + 0.5);
        // A single one has to be seen.
        let top = scale.y((*refused as f64).min(scale.most)).min(scale.y(0.0) - 8.0);
        line(&mut out, (x, scale.y(0.0)), (x, top), r##"stroke="#b3261e" stroke-width="1.5""##);
    }
    for (number, (at, text)) in judgement.events.iter().enumerate() {
        let x = scale.x(*at);
        line(&mut out, (x, TOP), (x, scale.y(0.0)), r##"stroke="#3b7d3b" stroke-dasharray="2 3""##);
        // Below the curve of a full vault and above the arrivals per second; neighbours do not write over each other.
        let y = HEIGHT - BOTTOM - 90.0 - 14.0 * (number % 2) as f64;
        label(&mut out, (x + 4.0, y), "start", r##"fill="#2f662f""##, text);
    }
    let caption = format!(
        "{}: in the fullest window of {} s (blue), per second (grey), refused by the vault (red)",
        judgement.scenario,
        WINDOW.as_secs()
    );
    label(&mut out, (LEFT, 24.0), "start", r##"font-size="14" fill="#1c2530""##, &caption);
    out + "</svg>\n"
}

fn axes(out: &mut String, scale: &Scale) {
    let ink = r##"fill="#1c2530""##;
    let ticks = |most: f64| {
        let step = step(most);
        (0..).map(move |number| f64::from(number) * step).take_while(move |value| *value <= most)
    };
    for count in ticks(scale.most) {
        let y = scale.y(count);
        line(out, (LEFT, y), (WIDTH - RIGHT, y), r##"stroke="#d5dae1""##);
        label(out, (LEFT - 8.0, y + 4.0), "end", ink, &format!("{count:.0}"));
    }
    for second in ticks(scale.seconds) {
        let x = scale.x(second);
        line(out, (x, HEIGHT - BOTTOM), (x, HEIGHT - BOTTOM + 5.0), r##"stroke="#1c2530""##);
        label(out, (x, HEIGHT - BOTTOM + 20.0), "middle", ink, &format!("{second:.0}"));
    }
    label(out, ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8.0), "middle", ink, "seconds since the load began");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Second;

    #[test]
    fn steps_are_round_and_few() {
        for span in [4.0, 10.0, 60.0, 220.0, 840.0, 2200.0, 10_000.0] {
            let count = span / step(span);
            assert!((4.0..=10.0).contains(&count), "{span}: {}", step(span));
        }
    }

    #[test]
    fn nothing_leaves_the_picture() {
        let second = |fullest| Second { arrivals: fullest / 10, fullest };
        let picture = svg(&Judgement {
            scenario: "burst".to_owned(),
            limit: 200,
            measured_from: 60,
            figures: Vec::new(),
            seconds: vec![second(0), second(5000)],
            refusals: vec![900, 0],
            events: Vec::new(),
        });
        for part in picture.split("points=\"").skip(1) {
            let points = part.split('"').next().unwrap();
            for point in points.split(' ') {
                let (x, y) = point.split_once(',').unwrap();
                assert!((LEFT..=WIDTH).contains(&x.parse::<f64>().unwrap()), "{point}");
                assert!((0.0..=HEIGHT).contains(&y.parse::<f64>().unwrap()), "{point}");
            }
        }
        assert!(picture.contains("limit 200") && picture.ends_with("</svg>\n"));
    }
}
