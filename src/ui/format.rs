//! Figures as people read them.

use crate::engine::RunReport;

/// `48151623` as `48 151 623`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `48 151 623` as `48151623`; spaces, commas and underscores between digits are ignored.
pub fn parse_grouped(text: &str) -> Option<u64> {
    let digits: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, ',' | '_' | '\''))
        .collect();
    digits.parse().ok()
}

/// `4.2 s`, `42 s`, `3 min 5 s`.
pub fn seconds(secs: f64) -> String {
    if secs < 0.095 {
        format!("{:.0} ms", secs * 1e3)
    } else if secs < 9.95 {
        format!("{secs:.1} s")
    } else if secs < 119.5 {
        format!("{secs:.0} s")
    } else {
        let whole = secs.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// A duration nobody should take for exact: `about 6 s`.
pub fn about(secs: f64) -> String {
    if secs < 0.95 {
        "less than 1 s".to_owned()
    } else if secs < 119.5 {
        format!("about {:.0} s", secs)
    } else {
        format!("about {:.0} min", secs / 60.0)
    }
}

/// `2.1 T`, `480 G`: operations with the usual letter.
pub fn flops(value: f64) -> String {
    const UNITS: [(f64, &str); 5] = [
        (1e18, "E"),
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
    ];
    for (size, letter) in UNITS {
        if value >= size {
            let scaled = value / size;
            return if scaled < 10.0 {
                format!("{scaled:.1} {letter}")
            } else {
                format!("{scaled:.0} {letter}")
            };
        }
    }
    format!("{value:.0}")
}

/// Memory: `0.9 GB`, `120 MB`.
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    if count >= 0.5e9 {
        format!("{:.1} GB", count / 1e9)
    } else {
        format!("{:.0} MB", count / 1e6)
    }
}

/// How fast steps go, as the field puts it: `9.1 it/s`, or `4.2 s/it` where one takes longer than a second.
pub fn step_rate(secs: f64) -> String {
    if secs > 1.0 {
        format!("{secs:.1} s/it")
    } else {
        format!("{:.1} it/s", 1.0 / secs.max(1e-4))
    }
}

/// A change such as `-36 %` or `0 %`, with a real minus sign.
pub fn change(share: f64) -> String {
    let percent = (share * 100.0).round();
    if percent < 0.0 {
        format!("\u{2212}{:.0} %", -percent)
    } else if percent > 0.0 {
        format!("+{percent:.0} %")
    } else {
        "0 %".to_owned()
    }
}

/// A guidance scale or a shift: `4.0`, `3.25`.
pub fn scale(value: f64) -> String {
    let text = format!("{value:.2}");
    match text.strip_suffix('0') {
        Some(short) => short.to_owned(),
        None => text,
    }
}

/// A word with a capital: `Large`.
pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// Parameters of a model: `30 M`, `1.3 B`.
pub fn parameters(count: u64) -> String {
    let count = count as f64;
    if count >= 9.5e8 {
        format!("{:.1} B", count / 1e9)
    } else if count >= 9.5e6 {
        format!("{:.0} M", count / 1e6)
    } else {
        format!("{:.1} M", count / 1e6)
    }
}

/// [`denoise_time`] in a word or two, for where there is little room.
pub fn denoise_time_short(report: &RunReport) -> String {
    match (report.reused_steps, report.steps.len()) {
        (0, _) => seconds(report.denoise_secs),
        (_, 0) => "decoded".to_owned(),
        (_, 1) => "1 step".to_owned(),
        (_, steps) => format!("{steps} steps"),
    }
}

/// How long a run's steps took; where steps came from an earlier run, for how many that is, so that no
/// plan looks faster than it is.
pub fn denoise_time(report: &RunReport) -> String {
    match (report.reused_steps, report.steps.len()) {
        (0, _) => seconds(report.denoise_secs),
        (_, 0) => "only decoded".to_owned(),
        (_, 1) => format!("{} for 1 step", seconds(report.denoise_secs)),
        (_, steps) => format!("{} for {steps} steps", seconds(report.denoise_secs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_per_second_until_steps_are_slow() {
        for (secs, text) in [(0.042, "23.8 it/s"), (1.0, "1.0 it/s"), (4.25, "4.2 s/it")] {
            assert_eq!(step_rate(secs), text);
        }
    }

    #[test]
    fn seeds_are_grouped_and_read_back() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1 000"),
            (48_151_623, "48 151 623"),
        ] {
            assert_eq!(grouped(value), text);
            assert_eq!(parse_grouped(text), Some(value));
        }
        assert_eq!(parse_grouped(&grouped(u64::MAX)), Some(u64::MAX));
        assert_eq!(parse_grouped("12,000"), Some(12_000));
        assert_eq!(parse_grouped("-4"), None);
        assert_eq!(parse_grouped("seed"), None);
    }

    #[test]
    fn durations_read_naturally() {
        assert_eq!(seconds(0.012), "12 ms");
        assert_eq!(seconds(4.24), "4.2 s");
        assert_eq!(seconds(9.97), "10 s");
        assert_eq!(seconds(185.2), "3 min 5 s");
        assert_eq!(about(0.2), "less than 1 s");
        assert_eq!(about(6.4), "about 6 s");
    }

    #[test]
    fn amounts_read_naturally() {
        assert_eq!(flops(2.13e12), "2.1 T");
        assert_eq!(flops(48.0e9), "48 G");
        assert_eq!(change(-0.358), "\u{2212}36 %");
        assert_eq!(change(0.0004), "0 %");
        assert_eq!(bytes(912_000_000), "0.9 GB");
        assert_eq!(bytes(120_000_000), "120 MB");
        assert_eq!(scale(4.0), "4.0");
        assert_eq!(scale(3.25), "3.25");
        assert_eq!(parameters(30_000_000), "30 M");
        assert_eq!(parameters(3_100_000), "3.1 M");
        assert_eq!(parameters(1_300_000_000), "1.3 B");
    }
}
