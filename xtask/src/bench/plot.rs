//! Cost against subscribers, as a picture that needs no program to look at.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;

/// One line of the plot.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) colour: &'static str,
    /// Subscribers, and microseconds per packet.
    pub(super) points: Vec<(f64, f64)>,
}

/// An SVG with both axes from 0.
pub(super) fn svg(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most_x = points().map(|point| point.0).fold(1.0, f64::max);
    let most_y = nice(points().map(|point| point.1).fold(0.1, f64::max));
    let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\" fill=\"#222\">{title}</text>\n"
    );
    // Writing to a string cannot fail.
    for step in 0..=4 {
        let value = most_y * f64::from(step) / 4.0;
        let at = y(value);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{value:.1}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        );
    }
    let mut ticks: Vec<f64> = points().map(|point| point.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    for tick in ticks {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{tick}</text>",
            x(tick),
            HEIGHT - BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">subscribers</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 8.0
    );
    for line in lines {
        draw(&mut svg, line, x, y);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, line: &Line, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
    let Line { name, colour, .. } = line;
    let place = |point: &(f64, f64)| format!("{:.1},{:.1}", x(point.0), y(point.1));
    let places: Vec<String> = line.points.iter().map(place).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        places.join(" ")
    );
    for point in &line.points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
            x(point.0),
            y(point.1)
        );
    }
    if let Some(last) = line.points.last() {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            x(last.0) + 8.0,
            y(last.1) + 4.0
        );
    }
}

/// The next larger of 1, 2, 4, 6, 8, 10 and so on.
fn nice(value: f64) -> f64 {
    if value <= 1.0 {
        return 1.0;
    }
    (value / 2.0).ceil() * 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_lies_inside_of_the_picture() {
        let lines = [Line {
            name: "server",
            colour: "#000",
            points: vec![(50.0, 2.3), (400.0, 7.9)],
        }];
        let svg = svg("Cost", &lines);
        assert!(svg.contains("400</text>") && svg.contains("8.0</text>"));
        let values = svg.split("cy=\"").skip(1);
        let values = values.map(|rest| rest.split('"').next().unwrap_or_default());
        for value in values {
            let value: f64 = value.parse().expect("a number");
            assert!((TOP..=HEIGHT - BOTTOM).contains(&value), "{value}");
        }
    }
}
