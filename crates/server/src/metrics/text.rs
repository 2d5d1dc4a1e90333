//! The text format of Prometheus, version 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

use super::families::{Family, Kind};
use super::histogram::Histogram;

/// A text in the making. Families are written one after the other, each once.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
}

/// One value of a family, and the values of the family's labels in their order.
pub(super) type Sample<'a, const LABELS: usize> = ([&'a str; LABELS], Number);

/// A value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<f32> for Number {
    fn from(value: f32) -> Self {
        Self::Real(value.into())
    }
}

impl Text {
    /// Writes a family without labels.
    pub(super) fn one(&mut self, family: &Family, value: impl Into<Number>) {
        self.all(family, [([], value.into())]);
    }

    /// Writes a family with a value for each of its combinations of labels.
    pub(super) fn all<'a, const LABELS: usize>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = Sample<'a, LABELS>>,
    ) {
        self.head(family);
        for (values, number) in samples {
            debug_assert_eq!(family.labels.len(), LABELS, "{}", family.name);
            let labels = family.labels.iter().copied().zip(values);
            self.sample(family.name, labels, number);
        }
    }

    /// Writes a histogram.
    pub(super) fn histogram(&mut self, family: &Family, histogram: &Histogram) {
        self.head(family);
        let name = family.name;
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulated() {
            self.sample(&bucket, [("le", bound.to_string().as_str())], count.into());
        }
        let count = histogram.count().into();
        self.sample(&bucket, [("le", "+Inf")], count);
        let sum = histogram.sum().as_secs_f64().into();
        self.sample(&format!("{name}_sum"), [], sum);
        self.sample(&format!("{name}_count"), [], count);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn head(&mut self, family: &Family) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let (name, help) = (family.name, escape(family.help, false));
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample<'a>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        number: Number,
    ) {
        self.text.push_str(name);
        let mut lead = '{';
        for (label, value) in labels {
            let _ = write!(self.text, "{lead}{label}=\"{}\"", escape(value, true));
            lead = ',';
        }
        if lead == ',' {
            self.text.push('}');
        }
        let _ = match number {
            Number::Whole(value) => writeln!(self.text, " {value}"),
            Number::Real(value) => writeln!(self.text, " {value}"),
        };
    }
}

fn escape(text: &str, quoted: bool) -> String {
    let text = text.replace('\\', r"\\").replace('\n', r"\n");
    match quoted {
        true => text.replace('"', "\\\""),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::families::{counter, gauge};
    use super::*;

    #[test]
    fn a_value_breaks_out_of_its_line() {
        let mut text = Text::default();
        let build = gauge("umbrella_a", "A \"help\"\nwith \\.", &["x", "y"]);
        text.all(&build, [(["1\"2", "3\\4\n5"], 1.into())]);
        text.one(&counter("umbrella_b_total", "B.", &[]), 0.25);
        let expected = "\
# HELP umbrella_a A \"help\"\\nwith \\\\.
# TYPE umbrella_a gauge
umbrella_a{x=\"1\\\"2\",y=\"3\\\\4\\n5\"} 1
# HELP umbrella_b_total B.
# TYPE umbrella_b_total counter
umbrella_b_total 0.25
";
        assert_eq!(text.finish(), expected);
    }
}
