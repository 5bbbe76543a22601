use ffmpeg_next::Rational;

/// The exact fraction a person means by a rate in frames a second: 23.976 is 24000/1001, not
/// 2997/125, or players drift and editors complain.
pub(super) fn frame_rate(fps: f64) -> Rational {
    // NTSC rates are a whole number times 1000/1001 and are written with two or three decimals.
    let whole = (fps * 1.001).round();
    let ntsc = whole * 1000.0 / 1001.0;
    if fps.fract() != 0.0 && whole >= 1.0 && (fps - ntsc).abs() < 6e-4 {
        return Rational((whole * 1000.0) as i32, 1001);
    }
    // Containers count time in ticks of the denominator, so keep it where 32 bits are plenty.
    let exact = Rational::from(fps);
    exact
        .reduce_with_limit(1_000_000)
        .unwrap_or_else(|near| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fps: f64) -> (i32, i32) {
        let rate = frame_rate(fps);
        (rate.numerator(), rate.denominator())
    }

    #[test]
    fn rates_are_the_fractions_people_mean() {
        assert_eq!(of(12.0), (12, 1));
        assert_eq!(of(16.0), (16, 1));
        assert_eq!(of(12.5), (25, 2));
        assert_eq!(of(7.3), (73, 10));
        for fps in [23.976, 23.976_024, 24000.0 / 1001.0] {
            assert_eq!(of(fps), (24_000, 1001));
        }
        assert_eq!(of(29.97), (30_000, 1001));
        assert_eq!(of(59.94), (60_000, 1001));
        assert_eq!(of(0.5), (1, 2));
        let (num, den) = of(std::f64::consts::PI);
        assert!((f64::from(num) / f64::from(den) - std::f64::consts::PI).abs() < 1e-9);
    }
}
